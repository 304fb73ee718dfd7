"""How a download ended, and what a refusal looks like."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10.0


@dataclass
class Prediction:
    """How `pipelines/download.py` ended."""

    status: int
    output: str
    errors: str
    seconds: float
    raw: Path  # data/raw, from where it ran

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.raw / "rotten_tomatoes" / "manifest.json").read_text())


def assert_refused(answer: Prediction, *parts: str) -> None:
    """One error line that holds the parts, status 1, in seconds, and nothing left behind."""
    assert answer.status == 1, answer
    lines = [line for line in (answer.output + answer.errors).splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    for part in parts:
        assert part in lines[0]
    assert answer.seconds < SECONDS
    assert not answer.raw.exists()
