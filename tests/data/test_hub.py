"""The true download path against a Hub on this machine: `pipelines/download.py` with HF_ENDPOINT set to it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

from unroll.files import sha256

OLD, NEW = "a" * 40, "b" * 40
SECONDS = 10.0


@dataclass
class Hub:
    """Serves folders as dataset repositories: `repositories[name][commit]`, with `main` standing for NEW."""

    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    endpoint: str = ""
    broken: int | None = None  # this HTTP status is the answer to everything
    silent: bool = False  # takes a connection and says nothing

    def start(self) -> ThreadingHTTPServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(*hub.find(self.path))

            def do_GET(self) -> None:
                if hub.silent:
                    time.sleep(2 * SECONDS)
                body = self.answer(*hub.find(self.path))
                self.wfile.write(body)

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> bytes:
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                return body

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        return server

    def find(self, target: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to a request for `target`, a path or (to a proxy) a whole URL."""
        if self.broken:
            return self.broken, {}, b""
        parts = unquote(urlsplit(target).path).strip("/").split("/")
        if parts[0] == "api":
            _, _, owner, name, kind, revision = parts[:6]
        else:
            _, owner, name, kind, revision = parts[:5]
        repository = self.repositories.get(f"{owner}/{name}")
        if repository is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        commit = NEW if revision == "main" else revision
        if commit not in repository:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        folder = repository[commit]
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        if kind == "revision":
            siblings = [{"rfilename": str(file.relative_to(folder))} for file in files]
            return _json({"id": f"{owner}/{name}", "sha": commit, "siblings": siblings})
        if kind == "tree":
            return _json(
                [
                    {
                        "type": "file",
                        "oid": sha256(file)[:40],
                        "size": file.stat().st_size,
                        "path": str(file.relative_to(folder)),
                    }
                    for file in files
                ]
            )
        file = folder.joinpath(*parts[5:])
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{sha256(file)[:40]}"'}, file.read_bytes()


def _json(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


@pytest.fixture
def hub(tmp_path: Path, write_dataset: Callable[..., Path]) -> Iterator[Hub]:
    """A Hub with the repository acme/reviews at two commits, of two and of three training rows."""
    commits = {}
    for commit, size in ((OLD, 2), (NEW, 3)):
        rows = {"text": [f"text {i}" for i in range(size)], "label": [i % 2 for i in range(size)]}
        splits = dict.fromkeys(("train", "validation", "test"), rows)
        commits[commit] = write_dataset(tmp_path / commit, splits, {"label": ["bad", "good"]}, header=True)
    hub = Hub({"acme/reviews": commits})
    server = hub.start()
    yield hub
    server.shutdown()
    server.server_close()


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
