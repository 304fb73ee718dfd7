"""A local Hub, and the download stage run against it; used by test_hub.py and test_hub_faults.py."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.data.hub_download import Download, to_raw
from tests.fork_server import bin_folder
from tests.loopback_hub import NEW, OLD, Hub


@pytest.fixture
def hub(tmp_path: Path, write_dataset: Callable[..., Path]) -> Iterator[Hub]:
    """A Hub with the repository acme/reviews at two commits, with two and three training rows."""
    commits = {}
    for commit, size in ((OLD, 2), (NEW, 3)):
        splits = {
            split: {"text": [f"{split} {i}" for i in range(size)], "label": [i % 2 for i in range(size)]}
            for split in ("train", "validation", "test")
        }
        commits[commit] = write_dataset(tmp_path / commit, splits, {"label": ["bad", "good"]}, header=True)
    with Hub({"acme/reviews": commits}).serving() as hub:
        yield hub


@pytest.fixture
def download(project: Path, tmp_path: Path) -> Callable[..., Download]:
    """A function that runs `pipelines/download.py dataset=rotten_tomatoes …` with a given endpoint and a new cache."""

    def run(endpoint: str, *overrides: str, **environment: str) -> Download:
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        done = subprocess.run(
            [bin_folder() / "python", project / "pipelines/download.py", *to_raw(tmp_path), *overrides],
            env={**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache"), **environment},
            capture_output=True,
            text=True,
        )
        return Download(done.returncode, done.stdout, done.stderr, tmp_path / "data/raw")

    return run
