"""The server under load and attack, while it is stopped, killed or given another model, and beside MLflow's server.

    python -m benchmarks.serving [MODEL] [--only load long stop kill move attack beside cores container schemathesis]
                                 [--seconds 5] [--examples 100]

MODEL is a run folder or model folder; by default the export to ONNX, which is what `register` serves, of an untrained
model of conf/model/bilstm.yaml for the demo reviews; it costs as much as a trained one. The client is on the same
machine; its processor time is not counted. `beside` (one worker each) and `cores` (one for each core) need wrk.
`container` (root on Linux) and `schemathesis`, which tries every kind of model, need a package index.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import joblib

from benchmarks import registered
from benchmarks.serving import beside, container, fuzz
from benchmarks.serving.attacks import attack
from benchmarks.serving.client import Tally, load
from benchmarks.serving.models import served
from benchmarks.serving.server import Server, body_of, serving
from benchmarks.shipped import demo_reviews
from unroll.files import link, whole_folder

CONNECTIONS = 64


class Plan(NamedTuple):
    """What is measured.

    Args:
        model: the folder that is served.
        work: an empty folder.
        texts: that are sent in turn; `bodies` are the requests.
        seconds: of load; twice as many if a worker or the model is replaced in the middle.
        examples: of schemathesis, for each path.
    """

    model: Path
    work: Path
    texts: list[str]
    bodies: list[bytes]
    seconds: float
    examples: int


async def under_load(server: Server, bodies: list[bytes], seconds: float, event: Callable[[], object] | None) -> Tally:
    """Load the server, with `event` in the middle."""
    until = asyncio.Event()
    task = asyncio.create_task(load(server.address, bodies, CONNECTIONS, until))
    await asyncio.wait([task], timeout=seconds / 2)
    if event is not None:
        await asyncio.to_thread(event)
    await asyncio.wait([task], timeout=seconds / 2)
    until.set()
    return await task


def measure_load(plan: Plan) -> None:
    with serving(plan.model) as server:
        asyncio.run(under_load(server, plan.bodies, 1.0, None))
        before = server.cpu_seconds()
        tally = asyncio.run(under_load(server, plan.bodies, plan.seconds, None))
        spent = server.cpu_seconds() - before
        count = len(tally.seconds)
        print(
            f"load: {CONNECTIONS} connections, one worker: {count / plan.seconds:,.0f} requests/s, "
            f"{1e3 * spent / count:.2f} ms of server CPU a request; {tally}; {server.memory():.0f} MiB"
        )


def measure_long(plan: Plan) -> None:
    """Short texts while another client sends texts of 5,000 tokens without a pause."""
    long = [body_of(" ".join(["good"] * 5000))]

    async def both(server: Server) -> tuple[Tally, Tally]:
        until = asyncio.Event()
        others = asyncio.create_task(load(server.address, long, 2, until))
        short = await under_load(server, plan.bodies, plan.seconds, None)
        until.set()
        return short, await others

    with serving(plan.model) as server:
        short, others = asyncio.run(both(server))
        print(f"long: beside texts of 5,000 tokens ({others}): short ones {short}")


def measure_stop(plan: Plan) -> None:
    for workers in (1, 2):
        with serving(plan.model, f"--workers={workers}") as server:
            processes = server.workers()
            tally = asyncio.run(under_load(server, plan.bodies, plan.seconds, server.process.terminate))
            status = server.process.wait()
            left = sum(it.is_running() for it in processes)
            print(f"stop: SIGTERM, {workers} workers: {tally}; status {status}, {left} processes left")


def measure_kill(plan: Plan) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with serving(plan.model, "--workers=2") as server:
            victim = server.workers()[0]
            event = partial(victim.send_signal, number)
            tally = asyncio.run(under_load(server, plan.bodies, 2 * plan.seconds, event))
            print(f"kill: {number.name} to one of 2 workers: {tally}; workers after it: {len(server.workers())}")


def measure_move(plan: Plan) -> None:
    """The model is replaced under load by one of other weights: its folder, and the champion of a registry."""
    other, folder = served(plan.work / "other"), plan.work / "folder"
    link(plan.model, folder)

    def replace() -> None:
        with whole_folder(folder) as new:
            new.rmdir()
            link(other, new)

    _measure_move("the folder is replaced", folder, replace, plan)
    with beside.registry(plan.model):
        registered.register(other)
        _measure_move("the champion is moved", beside.CHAMPION, partial(registered.make_champion, 1), plan)


def _measure_move(name: str, model: Path | str, event: Callable[[], object], plan: Plan) -> None:
    with serving(model, "--workers=2", "--poll=0.2") as server:
        tally = asyncio.run(under_load(server, plan.bodies, 2 * plan.seconds, event))
        print(f"move: {name}: {tally}; answers by version {dict(tally.versions)}", flush=True)


def measure_attacks(plan: Plan) -> None:
    with serving(plan.model, "--timeout=2") as server:
        asyncio.run(attack(server, plan.bodies))


GROUPS: dict[str, Callable[[Plan], None]] = {
    "load": measure_load,
    "long": measure_long,
    "stop": measure_stop,
    "kill": measure_kill,
    "move": measure_move,
    "attack": measure_attacks,
    "beside": lambda plan: beside.measure(plan.model, plan.texts, plan.seconds, 1),
    "cores": lambda plan: beside.measure(plan.model, plan.texts, plan.seconds, joblib.cpu_count()),
    "container": lambda plan: container.measure(plan.model, plan.work / "container"),
    "schemathesis": lambda plan: fuzz.measure(plan.work / "schemathesis", plan.examples),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", default=list(GROUPS), choices=list(GROUPS), metavar="group")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--examples", type=int, default=100)
    arguments = parser.parse_args()
    texts = demo_reviews()[:1000]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        model = arguments.model or served(work / "default")
        plan = Plan(model, work, texts, [body_of(text) for text in texts], arguments.seconds, arguments.examples)
        for group in arguments.only:
            try:
                GROUPS[group](plan)
            except ValueError as error:  # such as a tool that is not installed
                sys.exit(f"error: {group}: {error}")


if __name__ == "__main__":
    main()
