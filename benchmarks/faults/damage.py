"""Damages each file that each command reads, in three ways, and tells what the command makes of it."""

import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults.workplace import COMMANDS, NAME, OTHER_RUN, RUN, Ended, Workplace
from unroll.files import CHECKSUMS, checksums

PREPARED, ARRAYS = f"data/prepared/{NAME}", "*.npy"
SHARED = (f"{PREPARED}/*.json", f"{PREPARED}/tokens/{ARRAYS}")
TEST = (*SHARED, f"{PREPARED}/test/{ARRAYS}")
TRAIN = (*SHARED, f"{PREPARED}/train/{ARRAYS}", f"{PREPARED}/validation/{ARRAYS}")
EVALUATED = ("*.json", "*.csv", "*.parquet")
MODEL = f"{RUN}/model/*"
RESULTS = tuple(f"{run}/{it}" for run in (RUN, OTHER_RUN) for it in EVALUATED)
READ = {
    "download": (f"data/demo/{NAME}/data/*",),
    "prepare": (f"data/raw/{NAME}/*",),
    "train": TRAIN,
    "evaluate": (*TEST, MODEL),
    "compare": (*TEST, *RESULTS, f"data/raw/{NAME}/test.parquet"),
    "upload": (f"{RUN}/*.*", f"{RUN}/model/*", f"{RUN}/training/*"),
    "drift": (*TRAIN, MODEL, f"{RUN}/predictions.parquet", "new.txt"),
    "resume": (f"{RUN}/checkpoints/*.*", f"{RUN}/checkpoints/training/*"),
}
# What a user writes has no checksum: a flipped byte is another input.
INPUTS = ("new.txt",)
PROCESSES = 2
UNCLEAR = re.compile("codec can't decode|mmap length|pickle|bug in unroll")


class Outcome(NamedTuple):
    """What one command made of one fault: a line of the table counts the outcomes of a command."""

    command: str
    fault: str
    what: str
    is_good: bool
    where: str = ""
    printed: str = ""


Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: dict[str, Damage] = {
    "cut": lambda content, draw: content[: draw.randrange(1, len(content))],
    "byte flipped": lambda content, draw: _flip(content, draw.randrange(len(content)), 1 << draw.randrange(8)),
    "emptied": lambda content, draw: b"",
}


def _flip(content: bytes, position: int, bit: int) -> bytes:
    return content[:position] + bytes([content[position] ^ bit]) + content[position + 1 :]


def damage_all(
    done: dict[str, Workplace], folder: Path, draw: random.Random, commands: Sequence[str]
) -> Iterator[Outcome]:
    """Damage each file of `READ` and run the command, two at a time.

    Args:
        done: for each command, a workplace in which all commands before it have run; `results` of a command are those
            of the workplace ``done["all"]``.
    """
    cases = [
        Case(command, file, kind, draw.random(), folder / f"case-{command}-{kind}-{file.name}-{draw.random()}")
        for command in commands
        for file in _files(done[command], READ[command])
        for kind in DAMAGES
        if str(file) not in INPUTS or kind == "emptied"
    ]
    with ThreadPoolExecutor(PROCESSES) as pool:
        yield from filter(None, pool.map(lambda case: _try(case, done), cases))


class Case(NamedTuple):
    """A fault: the command, the file that is damaged, and the folder to do it in."""

    command: str
    file: Path
    kind: str
    seed: float
    folder: Path


def _files(start: Workplace, patterns: Sequence[str]) -> list[Path]:
    found = {file.relative_to(start.root) for it in patterns for file in start.root.glob(it) if file.is_file()}
    if not found:
        raise RuntimeError(f"{start.root}: no file of {patterns}")
    return sorted(found)


def _try(case: Case, done: dict[str, Workplace]) -> Outcome | None:
    """The outcome of a case; None for a file that is empty anyway."""
    start, name = done[case.command], "train" if case.command == "resume" else case.command
    content = (start.root / case.file).read_bytes()
    if not content:
        return None
    work = start.copy(case.folder)
    (work.root / case.file).write_bytes(DAMAGES[case.kind](content, random.Random(case.seed)))
    ended = work.run(COMMANDS[name] + (_pins(start) if name == "download" else ""))
    expected = done["uploaded" if name == "upload" else "all"].results(name)
    what, is_good = judge(ended, work.results(name), expected, case.file.name)
    shutil.rmtree(work.root)
    return Outcome(case.command, case.kind, what, is_good, str(case.file), ended.printed)


def _pins(start: Workplace) -> str:
    """The option that pins the checksums of the source, as for any data from elsewhere."""
    found = checksums(start.root / f"data/demo/{NAME}")
    pinned = ",".join(f"{name}:{it}" for name, it in found.items() if name.endswith(".parquet"))
    return f" +dataset.sha256={{{pinned}}}"


def judge(ended: Ended, results: str, expected: str, file: str) -> tuple[str, bool]:
    """The outcome of a command, given a checksum of its results and that of a run without a fault."""
    if "Traceback" in ended.printed:
        return "TRACEBACK", False
    if ended.status == 0:
        said = "damaged" in ended.printed
        if results != expected:
            return "SILENT CHANGE", False
        return ("made again, same result" if said else "unaffected, same result"), True
    if ended.status < 0 or UNCLEAR.search(ended.printed):
        return "UNCLEAR MESSAGE", False
    # A changed checksum is indistinguishable from a changed file.
    is_named = file in ended.printed or (file == CHECKSUMS and "is damaged" in ended.printed)
    return ("named and refused", True) if is_named else ("FILE NOT NAMED", False)
