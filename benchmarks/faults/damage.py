"""Damages each file that each command reads, in several ways, and tells what the command makes of it."""

import json
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults.kinds import FLIPPED, damage, kinds_of
from benchmarks.faults.workplace import NAME, Ended, Start
from benchmarks.faults.workplaces import OTHER_RUN, RUN
from unroll.files import CHECKSUMS

PREPARED, ARRAYS = f"data/prepared/{NAME}", "*.npy"
SHARED = (f"{PREPARED}/*.json", f"{PREPARED}/tokens/{ARRAYS}")
TEST = (*SHARED, f"{PREPARED}/test/{ARRAYS}")
TRAIN = (*SHARED, f"{PREPARED}/train/{ARRAYS}", f"{PREPARED}/validation/{ARRAYS}")
EVALUATED = ("*.json", "*.csv", "*.parquet")
MODEL = f"{RUN}/model/*"
RESULTS = tuple(f"{run}/{it}" for run in (RUN, OTHER_RUN) for it in EVALUATED)
STORE, LOGGED_MODELS = "mlflow.db", f"mlartifacts/{NAME}/models"
LOGGED = ("MLmodel", "*.py", "*.txt", "*.yaml", "artifacts/model/*", "code/unroll/data/text.py")
PARTS = ("model/lstm", "optimizer/adamw", "scheduler/linear", "trainer/auto")
CONFIGURATION = tuple(f"conf/{it}.yaml" for it in ("train", *PARTS))
SWEEPER = tuple(f"conf/hydra/sweeper{it}.yaml" for it in ("/optuna", "/sampler/tpe", "/pruner/median"))
# {lstm} and {majority}: the artifacts of their logged models in MLflow; {run}: those of the run of lstm
READ = {
    "download": (
        f"data/demo/{NAME}/data/*",
        "conf/download.yaml",
        "conf/hydra/stage.yaml",
        f"conf/dataset/{NAME}.yaml",
    ),
    "prepare": (f"data/raw/{NAME}/*", "conf/prepare.yaml", "conf/tokenizer/words.yaml"),
    "train": (*TRAIN, *CONFIGURATION),
    "evaluate": (*TEST, MODEL, "conf/evaluate.yaml", STORE),
    "compare": (*TEST, *RESULTS, f"data/raw/{NAME}/test.parquet", "conf/compare.yaml", STORE),
    "upload": (f"{RUN}/*.*", f"{RUN}/model/*", f"{RUN}/training/*", "conf/upload.yaml"),
    "drift": (*TRAIN, MODEL, f"{RUN}/predictions.parquet", "new.txt", "conf/drift.yaml"),
    "resume": (f"{RUN}/checkpoints/*.*", f"{RUN}/checkpoints/training/*", STORE),
    "plan": (f"{PREPARED}/dataset.json", f"{RUN}/*.*", f"{RUN}/*/*", *CONFIGURATION, "params.yaml", STORE),
    "kept": (f"models/.kept/{NAME}/lstm/1/*/*.*", f"models/.kept/{NAME}/lstm/1/*/*/*", STORE),
    "register": (
        *(f"{PREPARED}/dataset.json", f"{PREPARED}/test/{ARRAYS}", MODEL, f"{RUN}/training/*"),
        *(f"{RUN}/{it}" for it in EVALUATED),
        *(f"data/raw/{NAME}/{it}" for it in ("*.json", "train.parquet")),
        *("conf/register.yaml", "params.yaml", "dvc.yaml", "dvc.lock", ".dvc/config"),
        *(STORE, "{run}/evaluation/predictions.parquet", *(f"{{lstm}}/{it}" for it in LOGGED)),
    ),
    "rollback": ("conf/rollback.yaml", STORE, *(f"{{majority}}/{it}" for it in LOGGED)),
    "reproduce": (
        *(f"{PREPARED}/dataset.json", *CONFIGURATION, "conf/reproduce.yaml", STORE),
        *("{run}/training/*", "{lstm}/artifacts/model/*"),
    ),
    "promote": ("conf/promote.yaml", "params.yaml", f"conf/dataset/{NAME}.yaml", *CONFIGURATION, "optuna.db"),
    "sweep": ("conf/sweep/encoder.yaml", *SWEEPER, "optuna.db", STORE),
}
# What a user writes has no checksum: a flipped byte, or half of the lines, can be another input.
INPUTS = ("new.txt", "conf/*", "params.yaml", "dvc.yaml", "dvc.lock", ".dvc/config")
DATABASES = (STORE, "optuna.db")  # their pages have no checksums, so that several flips are tried
FLIPS = 8
FROM_STORE = ("register", "rollback", "reproduce", "promote", "sweep")  # commands whose results a database determines
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


class Case(NamedTuple):
    """A fault: the command, the file that is damaged, how, and the folder to do it in."""

    command: str
    file: Path
    kind: str
    number: int
    folder: Path


def damage_all(
    starts: dict[str, Start], folder: Path, seed: int, commands: Sequence[str], kinds: Sequence[str]
) -> Iterator[Outcome]:
    """Damage each file of `READ` and run the command, two at a time."""
    cases = [
        Case(command, file, kind, number, folder / f"case-{command}-{position}-{kind.replace(' ', '-')}-{number}")
        for command in commands
        for position, file in enumerate(_files(starts[command].work.root, READ[command]))
        for kind in kinds_of((starts[command].work.root / file).read_bytes())
        if kind in kinds
        for number in range(FLIPS if kind == FLIPPED and str(file) in DATABASES else 1)
    ]
    with ThreadPoolExecutor(PROCESSES) as pool:
        yield from pool.map(lambda case: _try(case, starts[case.command], seed), cases)


def _files(root: Path, patterns: Sequence[str]) -> list[Path]:
    found: set[Path] = set()
    places = _places(root)
    for pattern in (pattern.format(**places) for pattern in patterns):
        files = {file.relative_to(root) for file in root.glob(pattern) if file.is_file()}
        if not files:
            raise RuntimeError(f"{root}: no file {pattern}")
        found |= files
    return sorted(found)


def _places(root: Path) -> dict[str, str]:
    """The folders in MLflow's artifacts that patterns of `READ` name; empty if there are none."""
    places = {}
    for model in ("lstm", "majority"):
        record = root / f"models/{NAME}/{model}/1/run.json"
        if record.is_file():
            run_id = json.loads(record.read_text())["run_id"]
            for found in root.glob(f"{LOGGED_MODELS}/*/artifacts/MLmodel"):
                if run_id in found.read_text():
                    places[model] = str(found.parent.relative_to(root))
            if model == "lstm":
                places["run"] = f"mlartifacts/{NAME}/{run_id}/artifacts"
    return places


def _try(case: Case, start: Start, seed: int) -> Outcome:
    work, draw = start.work.copy(case.folder), random.Random(f"{seed} {case[:4]}")
    before = (work.root / case.file).read_bytes()
    after = damage(work.root / case.file, case.kind, draw)
    ended = work.run(start.command)
    words = _names(case.file, before, after) if _is_input(case.file) else set()
    what, is_good = judge(ended, start.is_expected(work), case, words)
    shutil.rmtree(work.root)
    return Outcome(case.command, case.kind, what, is_good, str(case.file), ended.printed)


def _is_input(file: Path) -> bool:
    return any(fnmatch(str(file), pattern) for pattern in INPUTS)


def _names(file: Path, before: bytes, after: bytes) -> set[str]:
    """What an error names instead of a user's file: its choice in a group, or a word of the lines that differ."""
    lines = set(before.splitlines()) ^ set(after.splitlines())
    words = set(re.findall(r"\w{3,}", b"\n".join(lines).decode(errors="replace")))
    group, choice = "/".join(file.parts[1:-1]), file.stem
    return words | {f"{group}={choice}", f"{group}/{choice}"}


def judge(ended: Ended, is_expected: bool, case: Case, words: set[str]) -> tuple[str, bool]:
    """The outcome of a command.

    Args:
        is_expected: whether its results are those of a run without a fault.
        words: that name the damaged part, beside the name of the file.
    """
    is_unnoticeable = case.kind == FLIPPED and str(case.file) in DATABASES
    if "Traceback" in ended.printed:
        return "TRACEBACK", False
    if ended.status == 0 and is_expected:
        if re.search(r"damaged|[1-9]\d* of \d+ runs to be", ended.printed):
            return "made again, same result", True
        return "unaffected, same result", True
    if ended.status == 0:
        if _is_input(case.file) and case.kind in ("byte flipped", "cut"):
            return "accepted as another input", True
        if is_unnoticeable and case.command in FROM_STORE:
            return "unnoticed by SQLite, another result", True
        return "SILENT CHANGE", False
    if ended.status < 0 or UNCLEAR.search(ended.printed):
        return "UNCLEAR MESSAGE", False
    # A changed checksum is indistinguishable from a changed file of its folder or, in dvc.lock, of its stage.
    is_changed = re.search("is damaged|is not up to date", ended.printed)
    if case.file.name in ended.printed or (case.file.name in (CHECKSUMS, "dvc.lock") and is_changed):
        return "named and refused", True
    said = " ".join(line for line in ended.printed.splitlines() if "error" in line or "differs" in line)
    if any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) for word in words):
        return "named and refused", True
    if is_unnoticeable and said:
        return "unnoticed by SQLite, refused", True
    return "FILE NOT NAMED", False
