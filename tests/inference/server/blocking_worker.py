"""A worker whose model waits before it predicts, as long as the file exists that its config.json names as "wait"."""

import json
import time
from pathlib import Path
from typing import Any

from tests.inference.server.running import Lengths
from unroll.inference.server import worker


class Waiting(Lengths):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def predict(self, texts: list[Any], *others: Any, **options: Any) -> list[dict[str, Any]]:
        while self.file.exists():
            time.sleep(0.001)
        return super().predict(texts)


def load(folder: Path, facts: dict[str, Any], device: str) -> Waiting:
    return Waiting(Path(json.loads((folder / "config.json").read_text())["wait"]))


worker._load_and_try = load
worker.main()
