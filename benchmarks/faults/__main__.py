"""Faults, and what each command makes of them: a Markdown table; the status is 1 if any outcome is bad.

    python -m benchmarks.faults [--kills 50] [--seed 0] [--only damage disk kills] [--commands train register …]

Three kinds of faults, in small projects with the demo reviews: each file that each command reads is cut, has a flipped
bit, is emptied, is no text, or has become a folder; the disk is full or read-only, on a small tmpfs, or, where none can
be mounted, the size of files is limited; a training is killed at random moments. A bad outcome is a traceback, a
message that does not name the file, another result without a message, or work that is lost.
"""

import argparse
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.faults.damage import READ, Outcome, damage_all
from benchmarks.faults.disk import disk_faults
from benchmarks.faults.kills import kill_summary, kill_trainings
from benchmarks.faults.kinds import KINDS
from benchmarks.faults.workplaces import starts

GROUPS = ("damage", "disk", "kills")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, metavar="group")
    parser.add_argument("--commands", nargs="+", choices=list(READ), default=list(READ), metavar="command")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="kind of damage")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background commands with Ctrl-C ignored
        signal.signal(number, signal.default_int_handler)
    begin = time.monotonic()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):  # the table is of what was tried
        outcomes.extend(campaign(Path(folder), arguments))
    print(table(outcomes))
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    is_good = not bad
    if "kills" in arguments.only:
        line, is_enough = kill_summary([it for it in outcomes if it.fault in ("killed", "not killed")])
        print(f"\n{line}")
        is_good = is_good and is_enough
    print(f"\n{len(outcomes)} faults, {len(bad)} bad outcomes, {time.monotonic() - begin:.0f} s")
    raise SystemExit(not is_good)


def campaign(folder: Path, arguments: argparse.Namespace) -> Iterator[Outcome]:
    """Run the chosen groups in `folder`, the first two for these commands; print bad outcomes when they are found."""
    groups, commands = arguments.only, arguments.commands
    found = starts(folder, commands if groups != ["kills"] else ["train"])
    if "damage" in groups:
        yield from _told(damage_all(found, folder, arguments.seed, commands, arguments.kinds))
    if "disk" in groups:
        yield from _told(disk_faults(found, folder, commands))
    if "kills" in groups:
        yield from _told(kill_trainings(found["train"], folder, arguments.kills, random.Random(arguments.seed)))


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
