"""The true download path against a Hub on this machine: `pipelines/download.py` with HF_ENDPOINT set to it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.loopback_hub import NEW, Hub

OLD = "a" * 40
SECONDS = 10.0


@pytest.fixture
def hub(tmp_path: Path, write_dataset: Callable[..., Path]) -> Iterator[Hub]:
    """A Hub with the repository acme/reviews at two commits, of two and of three training rows."""
    commits = {}
    for commit, size in ((OLD, 2), (NEW, 3)):
        rows = {"text": [f"text {i}" for i in range(size)], "label": [i % 2 for i in range(size)]}
        splits = dict.fromkeys(("train", "validation", "test"), rows)
        commits[commit] = write_dataset(tmp_path / commit, splits, {"label": ["bad", "good"]}, header=True)
    with Hub({"acme/reviews": commits}).serving() as hub:
        yield hub


@dataclass
class Answer:
    """How `pipelines/download.py` ended."""

    status: int
    output: str
    errors: str
    seconds: float
    raw: Path  # data/raw, from where it ran

    @property
    def manifest(self) -> dict:
        return json.loads((self.raw / "rotten_tomatoes" / "manifest.json").read_text())


@pytest.fixture
def download(project: Path, tmp_path: Path) -> Callable[..., Answer]:
    """A function that runs `pipelines/download.py dataset=rotten_tomatoes …` against a Hub, with a cache of its own."""

    def run(endpoint: str, *overrides: str, **environment: str) -> Answer:
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, project / "pipelines/download.py", "dataset=rotten_tomatoes", *overrides],
            cwd=tmp_path,
            env={**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache"), **environment},
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - start
        return Answer(done.returncode, done.stdout, done.stderr, seconds, tmp_path / "data/raw")

    return run


def assert_refused(answer: Answer, *parts: str) -> None:
    """One error line that holds the parts, status 1, in seconds, and nothing left behind."""
    assert answer.status == 1, answer
    lines = [line for line in (answer.output + answer.errors).splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    for part in parts:
        assert part in lines[0]
    assert answer.seconds < SECONDS
    assert not answer.raw.exists()


def test_a_pinned_commit_arrives_and_the_manifest_says_so(hub: Hub, download: Callable[..., Answer]) -> None:
    answer = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert answer.status == 0, answer
    assert answer.output.splitlines()[0] == "data/raw/rotten_tomatoes: train 2 rows"
    assert answer.manifest["commit"] == answer.manifest["revision"] == OLD
    assert answer.manifest["label_names"] == ["bad", "good"]


def test_a_branch_is_resolved_to_its_commit_and_later_served_from_the_cache(
    hub: Hub, download: Callable[..., Answer]
) -> None:
    overrides = ("dataset.path=acme/reviews", "dataset.revision=main")
    answer = download(hub.endpoint, *overrides)
    assert answer.status == 0, answer
    assert answer.manifest["revision"] == "main"
    assert answer.manifest["commit"] == NEW
    assert answer.manifest["splits"]["train"]["rows"] == 3

    (answer.raw / "rotten_tomatoes/manifest.json").unlink()
    hub.broken = 500
    assert download(hub.endpoint, *overrides).status == 1
    again = download(hub.endpoint, *overrides[:1], f"dataset.revision={NEW}", HF_HUB_OFFLINE="1")
    assert again.status == 0, again
    assert again.manifest["commit"] == NEW


def test_an_unknown_repository_is_named(hub: Hub, download: Callable[..., Answer]) -> None:
    assert_refused(download(hub.endpoint, "dataset.path=acme/nothing"), "dataset.path='acme/nothing'", hub.endpoint)


@pytest.mark.parametrize("revision", ["v7", "c" * 40])
def test_an_unknown_revision_is_named(hub: Hub, download: Callable[..., Answer], revision: str) -> None:
    answer = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={revision}")
    assert_refused(answer, f"dataset.revision='{revision}'", "acme/reviews")


def test_a_failing_hub_ends_in_seconds(hub: Hub, download: Callable[..., Answer]) -> None:
    hub.broken = 500
    answer = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert_refused(answer, "dataset.path='acme/reviews'", hub.endpoint, "500")


def test_a_silent_hub_ends_in_seconds(hub: Hub, download: Callable[..., Answer]) -> None:
    hub.silent = True
    answer = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert_refused(answer, f"the Hub at {hub.endpoint} cannot be reached", "dataset.path=FOLDER")


def test_an_unreachable_hub_ends_in_seconds(download: Callable[..., Answer]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        answer = download(endpoint)
    assert_refused(answer, f"the Hub at {endpoint} cannot be reached", "dataset.path=FOLDER")


def test_offline_without_a_cached_copy_is_an_error(download: Callable[..., Answer]) -> None:
    answer = download("http://hub.invalid", HF_HUB_OFFLINE="1")
    assert_refused(answer, "cornell-movie-review-data/rotten_tomatoes", "HF_HUB_OFFLINE")


def test_a_hub_behind_a_proxy_is_reached(hub: Hub, download: Callable[..., Answer]) -> None:
    answer = download(
        "http://hub.invalid", "dataset.path=acme/reviews", f"dataset.revision={OLD}", HTTP_PROXY=hub.endpoint
    )
    assert answer.status == 0, answer
    assert answer.manifest["commit"] == OLD


def test_rotten_tomatoes_as_configured(
    hub: Hub, download: Callable[..., Answer], project: Path, shared_datasets: Path
) -> None:
    pinned = "aa13bc287fa6fcab6daf52f0dfb9994269ffea28"
    repository = "cornell-movie-review-data/rotten_tomatoes"
    hub.repositories[repository] = {pinned: shared_datasets / "rotten_tomatoes"}
    answer = download(hub.endpoint)
    assert answer.status == 0, answer
    manifest = answer.manifest
    assert (manifest["path"], manifest["commit"]) == (repository, pinned)
    assert manifest["label_names"] == ["neg", "pos"]
    assert {split: facts["rows"] for split, facts in manifest["splits"].items()} == {
        "train": 8530,
        "validation": 1066,
        "test": 1066,
    }
