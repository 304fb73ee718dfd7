"""The result of running `pipelines/download.py`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Download:
    """The result of a run of `pipelines/download.py`."""

    status: int
    output: str
    errors: str
    raw: Path  # instead of data/raw

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.raw / "rotten_tomatoes" / "manifest.json").read_text())


def to_raw(folder: Path) -> list[str]:
    """The arguments that download rotten_tomatoes into `folder`."""
    return ["dataset=rotten_tomatoes", f"output={folder}/data/raw/rotten_tomatoes"]


def assert_refused(found: Download, *parts: str) -> None:
    """Status 1, one error line that contains `parts`, and no files."""
    assert found.status == 1, found
    lines = [line for line in (found.output + found.errors).splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    for part in parts:
        assert part in lines[0]
    assert not found.raw.exists()
