"""For each command, a workplace in which it can run; what each command reads is in `damage`.

There are two projects. In the first, the stages run one by one, with options. In the second, `dvc repro` has trained
what params.yaml lists, a champion is registered, and a study has been swept.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from benchmarks.faults.results import Results, aliases, contents, registered, trained, trials, uploaded
from benchmarks.faults.workplace import NAME, Start, Workplace
from unroll.files import checksums, delete

RUN, OTHER_RUN = f"models/{NAME}/lstm/1", f"models/{NAME}/majority/1"
TRAIN = (
    f"train dataset={NAME} model=lstm seed=1 model.embedding_size=8 model.hidden_size=8 trainer.max_epochs=4 "
    "patience=4 checkpoint_steps=2"
)
EVALUATE = "evaluate dataset={} model={} seed=1"
# How the run of another model is made, for comparisons.
OTHERS = (f"train dataset={NAME} model=majority seed=1", EVALUATE.format(NAME, "majority"))
REPORT = f"reports/{NAME}"
COMMANDS: dict[str, tuple[str, Results]] = {
    "download": (f"download dataset={NAME}", contents(f"data/raw/{NAME}/*")),
    "prepare": (f"prepare dataset={NAME} limit=300 processes=1", contents(f"data/prepared/{NAME}/**/*")),
    "train": (TRAIN, trained(RUN)),
    "evaluate": (
        EVALUATE.format(NAME, "lstm"),
        contents(*(f"{RUN}/{it}" for it in ("metrics.json", "*.parquet", "c*.csv"))),
    ),
    "compare": (
        f"compare dataset={NAME}",
        contents(*(f"{REPORT}/{it}" for it in ("index.html", "*.csv", "metrics/*"))),
    ),
    "drift": (f"drift dataset={NAME} run={RUN} against=new.txt", contents(f"{REPORT}/drift.json")),
}
UPLOAD = "upload folder=models"

PLAN = {
    "classification": {"datasets": [NAME], "models": ["majority", "lstm"]},
    "labeling": {"datasets": ["demo_entities"], "models": ["majority"]},
    "pretrain": {},
    "seeds": [1],
    "tokenizer": "words",
    "trainer": "auto",
}
# A small configuration, because DVC passes no options: the file, what is replaced, and by what.
SMALL = (
    ("conf/prepare.yaml", r"limit: null", "limit: 300"),
    ("conf/prepare.yaml", r"processes: null", "processes: 1"),
    ("conf/trainer/auto.yaml", r"max_epochs: \d+", "max_epochs: 6"),
    ("conf/model/lstm.yaml", r"(embedding_size|hidden_size): \d+", r"\1: 16"),
)
SWEEP = (
    f"train -m dataset={NAME} sweep=encoder model=lstm trainer.max_epochs=1 hydra.sweeper.study=s "
    "hydra.sweeper.n_trials=2"
)
PLANNED = f"train dataset={NAME} trainer=auto plan=params.yaml"
OF_PIPELINE = ("plan", "kept", "register", "rollback", "reproduce", "promote", "sweep")


def starts(folder: Path, commands: Sequence[str]) -> dict[str, Start]:
    """The start of each of these commands, and of those that come before one of them."""
    found: dict[str, Start] = {}
    if not set(OF_PIPELINE).issuperset(commands):
        found |= _starts_of_stages(folder)
    if set(OF_PIPELINE).intersection(commands):
        found |= _starts_of_pipeline(folder, commands)
    return found


def _starts_of_stages(folder: Path) -> dict[str, Start]:
    work, found, before = Workplace.new(folder / "work"), {}, {}
    for name, (command, results) in COMMANDS.items():
        before[name] = work.copy(folder / f"before-{name}")
        if name == "train":
            interrupted = _interrupted(work.copy(folder / "before-resume"))
            for other in OTHERS:
                work.ok(other)
        if name == "download":
            command += _pins(work)
        work.ok(command)
        found[name] = Start.of(before[name], command, results, work)
    found["resume"] = Start(interrupted, TRAIN, found["train"].results, found["train"].expected)
    without_store = work.copy(folder / "before-upload")
    for path in without_store.root.glob("ml*"):
        delete(path)
    found["upload"] = Start.undisturbed(without_store, UPLOAD, uploaded, folder / "uploaded")
    return found


def _pins(work: Workplace) -> str:
    """The option that pins the checksums of the source, as for any data from elsewhere."""
    found = checksums(work.root / f"data/demo/{NAME}")
    pinned = ",".join(f"{name}:{it}" for name, it in found.items() if name.endswith(".parquet"))
    return f" +dataset.sha256={{{pinned}}}"


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


def pipeline(root: Path) -> Workplace:
    """A project with a commit, in which `dvc repro` has trained and evaluated what its params.yaml lists."""
    work = Workplace.new(root)
    for name, before, after in SMALL:
        text = (root / name).read_text()
        (root / name).write_text(re.sub(before, after, text))
        if (root / name).read_text() == text:
            raise RuntimeError(f"{name}: no {before}")
    (root / "params.yaml").write_text(yaml.safe_dump(PLAN))
    (root / "new.txt").unlink()
    work.shell("git init -q && git add -A && git -c user.name=t -c user.email=t@t commit -qm start")
    work.shell(f"dvc repro train-classification@{NAME}")
    return work


def _starts_of_pipeline(folder: Path, commands: Sequence[str]) -> dict[str, Start]:
    work = pipeline(folder / "pipeline")
    found: dict[str, Start] = {}

    def add(name: str, command: str, results: Results, change: Callable[[Path], None] | None = None) -> None:
        if name not in commands:
            return
        before = work.copy(folder / f"before-{name}")
        if change is not None:
            change(before.root)
        found[name] = Start.undisturbed(before, command, results, folder / f"done-{name}")

    add("plan", PLANNED, trained(RUN, OTHER_RUN))
    add("kept", PLANNED, trained(RUN, OTHER_RUN), lambda root: delete(root / RUN))
    run_id = json.loads((work.root / RUN / "run.json").read_text())["run_id"]
    add("reproduce", f"reproduce run={run_id}", trained(f"reproduced/{run_id}"))
    if {"register", "rollback"}.intersection(commands):
        plan = yaml.safe_dump(PLAN | {"classification": {"models": ["majority"]}})
        (work.root / "first.yaml").write_text(plan)
        work.ok(f"register dataset={NAME} plan=first.yaml")
        add("register", f"register dataset={NAME} plan=params.yaml", registered(REPORT))
        work.ok(f"register dataset={NAME} plan=params.yaml")
        work.ok(f"rollback dataset={NAME} version=2")  # whatever the gate has decided
        add("rollback", f"rollback dataset={NAME}", aliases)
    if {"promote", "sweep"}.intersection(commands):
        work.ok(SWEEP)
        add("sweep", SWEEP, trials)
        add("promote", "promote study=s", contents("params.yaml", "conf/model/*_s.yaml"))
    return found
