"""A registered model in MLflow, in a new virtual environment with the recorded requirements only.

    python -m benchmarks.registered [MODEL] [--requests 2000]

MODEL is a run folder or model folder; by default an untrained model of conf/model/bilstm.yaml for the demo reviews. It
is logged and registered in a new store as by pipelines/register.py. Prints the files, the time and size of the
installation, whether `mlflow.pyfunc.load_model` and ``mlflow models serve`` give the answers of `Predictor` there, and
how long they take. pip needs a package index.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.environments import environment, foreign, megabytes
from benchmarks.serving.client import Address, Tally, load
from benchmarks.serving.server import cpu_seconds, post
from benchmarks.shipped import demo_reviews, untrained
from unroll.inference.predictor import Predictor
from unroll.project import project_root, set_environment

NAME = "benchmark"
LOAD = """
import json, sys, time, mlflow
texts = json.load(sys.stdin)
model = mlflow.pyfunc.load_model(sys.argv[1])
first = model.predict(texts[:1])
seconds = time.process_time()
print(json.dumps([seconds, "torch" in sys.modules, model.predict(texts)]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.registered",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    texts = demo_reviews()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        model = arguments.model or untrained(work)
        model = model / "model" if (model / "model").is_dir() else model
        set_environment(project_root())
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work}/mlflow.db"
        start = time.process_time()
        uri = register(model)
        print(f"exported, logged and registered in {time.process_time() - start:.2f} s of CPU time")
        logged = copy_registered(uri, work / "logged")
        expected = Predictor.load(next(logged.glob("artifacts/*/config.json")).parent).predict(texts)
        by_weights = Predictor.load(model).predict(texts)
        same = sum(a["label"] == b["label"] for a, b in zip(expected, by_weights, strict=True))
        print(f"labels equal to those of the weights in PyTorch: {same} of {len(texts)}")
        python = install(logged / "requirements.txt", work / "environment")
        in_python(python, work, texts, expected)
        in_server(python, work, texts, expected, arguments.requests)
        by_command(texts[0])


def register(model: Path) -> str:
    """Log and register a model, and make it the champion; return the URI of the logged model."""
    from unroll.registry.registered_model import RegisteredModel
    from unroll.tracking.models import log_model, registrable_model_uri
    from unroll.tracking.runs import TrackedRun
    from unroll.tracking.store import open_experiment, open_store

    client = open_store()
    run_id = client.create_run(open_experiment(client, NAME)).info.run_id
    run = TrackedRun(client, run_id)
    log_model(run, model)
    uri = registrable_model_uri(run, model)
    make_champion(int(RegisteredModel(client, NAME).create_version([run_id], uri).version))
    return uri


def copy_registered(uri: str, folder: Path) -> Path:
    """Copy what MLflow has of a model into `folder`, and return that."""
    from unroll.tracking.models import fetch_model
    from unroll.tracking.store import open_store

    fetch_model(open_store(), uri, folder)
    files = [file for file in folder.rglob("*") if file.is_file()]
    print(f"registered: {len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")
    return folder


def make_champion(version: int) -> None:
    from unroll.registry.registered_model import RegisteredModel
    from unroll.tracking.store import open_store

    RegisteredModel(open_store(), NAME).make_champion(version)


def install(requirements: Path, folder: Path) -> Path:
    """Install the requirements in a new environment; return its interpreter."""
    start = time.perf_counter()
    python = environment(folder, "--requirement", str(requirements))
    print(f"requirements: {', '.join(requirements.read_text().split())}")
    print(f"installed in {time.perf_counter() - start:.0f} s, {megabytes(folder):.0f} MB with pip")
    return python


def in_python(python: Path, work: Path, texts: list[str], expected: list[dict[str, Any]]) -> None:
    """`mlflow.pyfunc.load_model` in the environment, in a folder without this project."""
    command = [str(python), "-c", LOAD, f"models:/{NAME}@champion"]
    done = subprocess.run(
        command, cwd=work, env=foreign(), input=json.dumps(texts), stdout=subprocess.PIPE, text=True, check=True
    )
    seconds, has_torch, found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"mlflow.pyfunc: {equal(found, expected)}; first answer after {seconds:.1f} s of CPU time; torch: {has_torch}"
    )


def in_server(python: Path, work: Path, texts: list[str], expected: list[dict[str, Any]], requests: int) -> None:
    """``mlflow models serve`` in the environment: one client, one request after the other."""
    start = time.perf_counter()
    with serving(python, work) as (address, server):
        print(f"mlflow models serve: up in {time.perf_counter() - start:.1f} s")
        status, found = post(address, "/invocations", {"inputs": texts})
        print(f"mlflow models serve: status {status}, {equal(found['predictions'], expected)}")
        status, found = post(address, "/invocations", {"inputs": ["good", " "]})
        print(f"mlflow models serve: status {status}, {json.dumps(found)}")
        bodies = [json.dumps({"inputs": [text]}).encode() for text in texts]
        asyncio.run(one_client(address, bodies, 100))
        before = cpu_seconds(server)
        tally = asyncio.run(one_client(address, bodies, requests))
        spent = cpu_seconds(server) - before
        print(f"mlflow models serve: {tally}; {1e3 * spent / len(tally.seconds):.2f} ms of CPU time a request")


def by_command(text: str) -> None:
    """``unroll predict`` with the registered model, from the start of the process."""
    command = [sys.executable, "-m", "unroll.cli", "predict", text, "--model", f"{NAME}@champion"]
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"unroll predict --model {NAME}@champion: {spent:.2f} s of CPU time")


def equal(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> str:
    same = sum(a == b for a, b in zip(found, expected, strict=True))
    return f"{same} of {len(expected)} answers equal to those of Predictor"


@contextmanager
def serving(python: Path, work: Path, workers: int = 1) -> Iterator[tuple[Address, psutil.Process]]:
    """Serve the registered model with MLflow's server; yield when it answers. Its log is written to `work`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(python.with_name("mlflow")), "models", "serve", "--model-uri", f"models:/{NAME}@champion"]
    command += ["--env-manager", "local", "--port", str(port), "--workers", str(workers)]
    path = f"{python.parent}:{os.environ['PATH']}"
    log = work / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=work, env=foreign() | {"PATH": path}, stdout=output, stderr=output)
    try:
        address = Address("127.0.0.1", port)
        while not answers(address):
            if process.poll() is not None:
                raise RuntimeError(f"mlflow models serve ended with status {process.returncode}: {log.read_text()}")
            time.sleep(0.05)
        yield address, psutil.Process(process.pid)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.terminate()
        process.terminate()
        process.wait()


def answers(address: Address) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address.host}:{address.port}/ping"):
            return True
    except OSError:
        return False


async def one_client(address: Address, bodies: list[bytes], count: int) -> Tally:
    until, tally = asyncio.Event(), Tally()
    while len(tally.seconds) < count:
        task = asyncio.create_task(load(address, bodies, 1, until, "/invocations"))
        await asyncio.wait([task], timeout=1)
        until.set()
        part = await task
        until.clear()
        tally.seconds += part.seconds
        tally.statuses += part.statuses
        tally.lost += part.lost
    return tally


if __name__ == "__main__":
    main()
