"""The server under load, under attack, and while it is stopped, killed or given another model.

    python -m benchmarks.serving [MODEL] [--only load long stop kill move attack]

MODEL is a run folder or model folder; by default an untrained model of conf/model/bilstm.yaml for the demo reviews,
which costs as much as a trained one. The client is on the same machine; its processor time is not counted.
"""

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.serving.attacks import attack
from benchmarks.serving.client import Tally, load
from benchmarks.serving.server import Server, body_of, serving
from benchmarks.shipped import demo_reviews, untrained
from unroll.files import link, whole_folder
from unroll.inference.trained_model import TrainedModel

CONNECTIONS = 64
SECONDS = 5.0


async def under_load(server: Server, bodies: list[bytes], seconds: float, event: Callable[[], None] | None) -> Tally:
    """Load the server, with `event` in the middle."""
    until = asyncio.Event()
    task = asyncio.create_task(load(server.address, bodies, CONNECTIONS, until))
    await asyncio.wait([task], timeout=seconds / 2)
    if event is not None:
        event()
    await asyncio.wait([task], timeout=seconds / 2)
    until.set()
    return await task


def measure_load(model: Path, bodies: list[bytes], workers: int = 1) -> None:
    with serving(model, f"--workers={workers}") as server:
        asyncio.run(under_load(server, bodies, 1.0, None))
        before = server.cpu_seconds()
        tally = asyncio.run(under_load(server, bodies, SECONDS, None))
        spent = server.cpu_seconds() - before
        count = len(tally.seconds)
        print(
            f"load: {CONNECTIONS} connections, {workers} workers: {count / SECONDS:,.0f} requests/s, "
            f"{1e3 * spent / count:.2f} ms of server CPU a request; {tally}; {server.memory():.0f} MiB"
        )


def measure_long(model: Path, bodies: list[bytes]) -> None:
    """Short texts while another client sends texts of 5,000 tokens without a pause."""
    long = [body_of(" ".join(["good"] * 5000))]

    async def both(server: Server) -> tuple[Tally, Tally]:
        until = asyncio.Event()
        others = asyncio.create_task(load(server.address, long, 2, until))
        short = await under_load(server, bodies, SECONDS, None)
        until.set()
        return short, await others

    with serving(model) as server:
        short, others = asyncio.run(both(server))
        print(f"long: beside texts of 5,000 tokens ({others}): short ones {short}")


def measure_stop(model: Path, bodies: list[bytes]) -> None:
    for workers in (1, 2):
        with serving(model, f"--workers={workers}") as server:
            processes = server.workers()
            tally = asyncio.run(under_load(server, bodies, SECONDS, server.process.terminate))
            status = server.process.wait()
            left = sum(it.is_running() for it in processes)
            print(f"stop: SIGTERM, {workers} workers: {tally}; status {status}, {left} processes left")


def measure_kill(model: Path, bodies: list[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with serving(model, "--workers=2") as server:
            victim = server.workers()[0]
            event = partial(victim.send_signal, number)
            tally = asyncio.run(under_load(server, bodies, 2 * SECONDS, event))
            print(f"kill: {number.name} to one of 2 workers: {tally}; workers after it: {len(server.workers())}")


def measure_move(model: Path, bodies: list[bytes]) -> None:
    """The model folder is replaced under load by one of other weights."""
    with tempfile.TemporaryDirectory() as work:
        served, other = Path(work) / "model", Path(work) / "other"
        link(model, served)
        trained = TrainedModel.load(model)
        assert isinstance(trained.model, torch.nn.Module)
        with torch.no_grad():
            next(trained.model.parameters()).add_(0.01)
        trained.save(other)

        def move() -> None:
            with whole_folder(served) as folder:
                folder.rmdir()
                link(other, folder)

        with serving(served, "--workers=2", "--poll=0.2") as server:
            tally = asyncio.run(under_load(server, bodies, 2 * SECONDS, move))
            print(f"move: the model is replaced: {tally}; answers by version {dict(tally.versions)}")


def measure_attacks(model: Path, bodies: list[bytes]) -> None:
    with serving(model, "--timeout=2") as server:
        asyncio.run(attack(server, bodies))


GROUPS: dict[str, Callable[[Path, list[bytes]], None]] = {
    "load": measure_load,
    "long": measure_long,
    "stop": measure_stop,
    "kill": measure_kill,
    "move": measure_move,
    "attack": measure_attacks,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", default=list(GROUPS), choices=list(GROUPS), metavar="group")
    arguments = parser.parse_args()
    texts = demo_reviews()
    with tempfile.TemporaryDirectory() as work:
        model = arguments.model or untrained(Path(work))
        for group in arguments.only:
            GROUPS[group](model, [body_of(text) for text in texts])


if __name__ == "__main__":
    main()
