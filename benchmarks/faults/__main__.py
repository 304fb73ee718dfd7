"""Faults, and what each command makes of them: a Markdown table; the status is 1 if any outcome is bad.

    python -m benchmarks.faults [--kills 50] [--seed 0] [--only damage disk kills]

Three kinds of faults, in a small project with the demo reviews: each file that each command reads is cut, has a flipped
bit or is emptied; the disk is full or read-only, on a small tmpfs, or, where none can be mounted, the size of files is
limited; a training is killed at random moments. A bad outcome is a traceback, a message that does not name the file,
another result without a message, or work that is lost.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.faults.damage import READ, Outcome, damage_all
from benchmarks.faults.disk import disk_faults
from benchmarks.faults.kills import kill_trainings
from benchmarks.faults.workplace import COMMANDS, OTHERS, RUN, TRAIN, Workplace, make_project, make_workplace
from unroll.files import delete

GROUPS = ("damage", "disk", "kills")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, metavar="group")
    parser.add_argument("--commands", nargs="+", choices=list(READ), default=list(READ), metavar="command")
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = list(campaign(Path(folder), arguments.kills, arguments.seed, arguments.only, arguments.commands))
    print(table(outcomes))
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    print(f"\n{len(outcomes)} faults, {len(bad)} bad outcomes, {time.monotonic() - start:.0f} s")
    raise SystemExit(bool(bad))


def campaign(
    folder: Path, kills: int, seed: int, groups: Sequence[str] = GROUPS, commands: Sequence[str] = tuple(READ)
) -> Iterator[Outcome]:
    """Run the groups in `folder`, the first two for these commands; print each bad outcome as it is found."""
    done = workplaces(folder)
    draw = random.Random(seed)
    if "damage" in groups:
        yield from _told(damage_all(done, folder, draw, commands))
    if "disk" in groups:
        yield from _told(disk_faults(done, folder, commands))
    if "kills" in groups:
        yield from _told(kill_trainings(done["train"], folder, kills, draw))


def workplaces(folder: Path) -> dict[str, Workplace]:
    """For each command, a workplace in which it can run; and one in which all have run."""
    work, found = make_workplace(make_project(folder / "work")), {}
    for command in ("download", "prepare", "train", "evaluate", "compare", "drift"):
        found[command] = work.copy(folder / f"before-{command}")
        if command == "train":
            found["resume"] = _interrupted(work.copy(folder / "before-resume"))
            for other in OTHERS:
                work.ok(other)
        work.ok(COMMANDS[command])
    found["all"] = work
    found["upload"] = work.copy(folder / "before-upload")
    for path in found["upload"].root.glob("ml*"):  # the store
        delete(path)
    found["uploaded"] = found["upload"].copy(folder / "uploaded")
    found["uploaded"].ok(COMMANDS["upload"])
    return found


def _interrupted(work: Workplace) -> Workplace:
    """Train until there is a checkpoint of a whole epoch, and kill the training."""
    process, best = work.start(TRAIN), work.root / RUN / "checkpoints/best.ckpt"
    last = best.with_name("last.ckpt")
    while process.poll() is None and not (best.exists() and last.exists()):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    if not (best.exists() and last.exists()):
        raise RuntimeError("the training ended before it was killed")
    return work


def _told(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    for outcome in outcomes:
        if not outcome.is_good:
            print(*outcome[:3], outcome.where, outcome.printed, sep="\n", end="\n\n", flush=True)
        yield outcome


def table(outcomes: list[Outcome]) -> str:
    """The number of outcomes by command and fault, as a Markdown table."""
    counts = Counter((it.command, it.fault, it.what) for it in outcomes)
    lines = [f"| {command} | {fault} | {what} | {count} |" for (command, fault, what), count in counts.items()]
    return "\n".join(["| command | fault | outcome | cases |", "|---|---|---|---:|", *lines])


if __name__ == "__main__":
    main()
