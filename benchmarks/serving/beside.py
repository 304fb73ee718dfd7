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
from benchmarks.serving.server import cpu_seconds, post, serving
from unroll.project import project_root, set_environment

CONNECTIONS = 64
WARM_UP = 3  # seconds


@contextmanager
def registered_model(model: Path) -> Iterator[Path]:
    """Register a model in a new store, as pipelines/register.py does; yield the store's folder."""
    with tempfile.TemporaryDirectory() as work:
        set_environment(project_root())
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work}/mlflow.db"
        registered.register(model)
        yield Path(work)


def measure(model: Path, texts: list[str], seconds: float, workers: int) -> None:
    """Load both servers, one after the other, and print what wrk counted and what the servers' processors did."""
    wrk.check_wrk()
    asked, others = (
        [json.dumps({"text": it}).encode() for it in texts],
        [json.dumps({"inputs": [it]}).encode() for it in texts],
    )
    with registered_model(model) as work:
        print(f"beside: wrk, {CONNECTIONS} connections, {seconds:g} s each; workers of each server: {workers}")
        with serving(f"{registered.NAME}@champion", f"--workers={workers}") as server:
            first = post(server.address, "/predict", {"texts": texts})[1]["predictions"]
            ours = _measure("unroll serve", server.address, "/predict", asked, seconds, server.root)
        with registered.serving(Path(sys.executable), work, workers) as (address, process):
            second = post(address, "/invocations", {"inputs": texts})[1]["predictions"]
            theirs = _measure("mlflow models serve", address, "/invocations", others, seconds, process)
    same = sum(a["label"] == b["label"] for a, b in zip(first, second, strict=True))
    print(f"beside: unroll serve answers {ours / theirs:.1f} times as many; equal labels: {same} of {len(texts)}")


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
