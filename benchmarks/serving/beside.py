"""``unroll serve`` beside ``mlflow models serve``: the same registered model, texts, connections and load tool."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks import registered
from benchmarks.serving import wrk
from benchmarks.serving.client import Address
from benchmarks.serving.server import body_of, cpu_seconds, post, serving
from unroll.project import project_root, set_environment

CONNECTIONS = 64
WARM_UP = 3  # seconds
CHAMPION = f"{registered.NAME}@champion"


@contextmanager
def registry(model: Path) -> Iterator[Path]:
    """Register a model in a new store, as pipelines/register.py does; yield the store's folder."""
    with tempfile.TemporaryDirectory() as work:
        set_environment(project_root())
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work}/mlflow.db"
        registered.register(model)
        yield Path(work)


def measure(model: Path, texts: list[str], seconds: float, workers: int) -> None:
    """Load both servers, one after the other; print what wrk counted and what processor time they took.

    Args:
        seconds: of load for each server.
        workers: of each server.

    Raises:
        ValueError: wrk is not installed.
    """
    wrk.find()
    bodies = [json.dumps({"inputs": [text]}).encode() for text in texts]
    with registry(model) as work:
        print(
            f"beside: wrk, {CONNECTIONS} connections for {seconds:g} s; workers of each server: {workers}", flush=True
        )
        with serving(CHAMPION, f"--workers={workers}") as server:
            ours = post(server.address, "/predict", {"texts": texts})[1]["predictions"]
            rate = _measure(
                "unroll serve", server.address, "/predict", [body_of(it) for it in texts], seconds, server.root
            )
        with registered.serving(Path(sys.executable), work, workers) as (address, process):
            theirs = post(address, "/invocations", {"inputs": texts})[1]["predictions"]
            other = _measure("mlflow models serve", address, "/invocations", bodies, seconds, process)
    same = sum(a["label"] == b["label"] for a, b in zip(ours, theirs, strict=True))
    print(f"beside: unroll serve answers {rate / other:.1f} times as many; equal labels: {same} of {len(texts)}")


def _measure(
    name: str, address: Address, path: str, bodies: list[bytes], seconds: float, process: psutil.Process
) -> float:
    """Print a line about a server; return its answers per second."""
    wrk.load(address, path, bodies, CONNECTIONS, WARM_UP)
    before = cpu_seconds(process)
    found = wrk.load(address, path, bodies, CONNECTIONS, seconds)
    spent = cpu_seconds(process) - before
    print(f"beside: {name}: {found}, {1e3 * spent / found.answered:.2f} ms of server CPU a request", flush=True)
    return found.rate
