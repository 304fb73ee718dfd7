"""A folder with a small project, its commands, and what they produce."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tests.fork_server import bin_folder
from unroll.project import project_root

NAME = "demo_reviews"
RUN = f"models/{NAME}/lstm/1"
OTHER_RUN = f"models/{NAME}/majority/1"
TRAIN = (
    "train dataset=demo_reviews model=lstm seed=1 model.embedding_size=8 model.hidden_size=8 trainer.max_epochs=4 "
    "patience=4 checkpoint_steps=2"
)
COMMANDS = {
    "download": f"download dataset={NAME}",
    "prepare": f"prepare dataset={NAME} limit=300 processes=1",
    "train": TRAIN,
    "evaluate": f"evaluate dataset={NAME} model=lstm seed=1",
    "compare": f"compare dataset={NAME}",
    "upload": "upload folder=models",
    "drift": f"drift dataset={NAME} run={RUN} against=new.txt",
}
# How each command is called where the run of another model is made.
OTHERS = (f"train dataset={NAME} model=majority seed=1", f"evaluate dataset={NAME} model=majority seed=1")
TIMES = ["seconds", "training_seconds", "microseconds_per_token", "tokens_per_second", "run_id"]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status (negative: the signal), and all that it printed."""

    status: int
    printed: str


@dataclass(frozen=True)
class Workplace:
    """A folder in which commands run, with an MLflow database of its own.

    Args:
        root: the folder, which has data/, models/ and reports/.
        project: the checkout whose commands and configuration are used.
    """

    root: Path
    project: Path

    def copy(self, root: Path) -> "Workplace":
        """The same files in another folder."""
        shutil.copytree(self.root, root, symlinks=True)
        if (root / "mlflow.db").exists():  # it contains absolute paths
            with closing(sqlite3.connect(root / "mlflow.db")) as database:
                for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                    change = f"update {table} set {column} = replace({column}, ?, ?)"
                    database.execute(change, (f"{self.root}/", f"{root}/"))
                database.commit()
        return Workplace(root, root if self.project == self.root else self.project)

    def start(self, command: str, limit: Callable[[], None] | None = None) -> "subprocess.Popen[str]":
        """Start a command; with a `limit`, which its process calls first, without the fork server."""
        name, *options = command.split()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        environment |= {
            "PYTHONPATH": str(self.project / "src"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.root}/mlflow.db",
        }
        python = str(bin_folder() / "python") if limit is None else sys.executable
        return subprocess.Popen(
            [python, str(self.project / "pipelines" / f"{name}.py"), *options],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=limit,
        )

    def run(self, command: str, limit: Callable[[], None] | None = None) -> Ended:
        process = self.start(command, limit)
        printed, _ = process.communicate()
        return Ended(process.returncode, printed)

    def ok(self, command: str) -> None:
        ended = self.run(command)
        if ended.status:
            raise RuntimeError(f"{command}\n{ended.printed}")

    def results(self, command: str) -> str:
        """A checksum of what a command has written, without times and ids; empty if files are missing."""
        try:
            return hashlib.sha256(repr(_RESULTS[command](self.root)).encode()).hexdigest()
        except (OSError, ValueError, KeyError, sqlite3.Error):
            return ""


def make_project(folder: Path) -> Path:
    """A copy of the checkout's code and configuration, which may be damaged."""
    for part in ("conf", "pipelines", "src"):
        shutil.copytree(project_root() / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def make_workplace(project: Path) -> Workplace:
    """The copy of a checkout as a workplace, with the source of the demo reviews only."""
    shutil.copytree(project_root() / "data/demo" / NAME, project / "data/demo" / NAME)
    (project / "new.txt").write_text("a fine film\nnot good at all\nI liked it\n" * 20)
    return Workplace(project, project)


def _contents(root: Path, *patterns: str) -> list[tuple[str, bytes]]:
    files = sorted({file for pattern in patterns for file in root.glob(pattern) if file.is_file()})
    if not files:
        raise FileNotFoundError(patterns)
    return [(str(file.relative_to(root)), file.read_bytes()) for file in files]


def _trained(root: Path) -> object:
    history = pd.read_csv(root / RUN / "history.csv").drop(columns="seconds")
    record = json.loads((root / RUN / "run.json").read_text())
    facts = {name: value for name, value in record.items() if name not in TIMES}
    return _contents(root, f"{RUN}/model/*"), history.to_csv(), facts


def _uploaded(root: Path) -> object:
    with closing(sqlite3.connect(f"file:{root}/mlflow.db?mode=ro", uri=True)) as database:
        found = database.execute("select r.name, m.key, m.value, m.step from metrics m join runs r using (run_uuid)")
        points = sorted(found.fetchall())
    tables = sorted(
        hashlib.sha256(file.read_bytes()).hexdigest()
        for pattern in ("*.parquet", "*.csv", "weights.safetensors")
        for file in (root / "mlartifacts").rglob(pattern)
    )
    return points, tables


_RESULTS: dict[str, Callable[[Path], object]] = {
    "download": lambda root: _contents(root, f"data/raw/{NAME}/*"),
    "prepare": lambda root: _contents(root, f"data/prepared/{NAME}/**/*"),
    "train": _trained,
    "evaluate": lambda root: _contents(root, *(f"{RUN}/{it}" for it in ("metrics.json", "*.parquet", "c*.csv"))),
    "compare": lambda root: _contents(root, *(f"reports/{NAME}/{it}" for it in ("index.html", "*.csv", "metrics/*"))),
    "upload": _uploaded,
    "drift": lambda root: _contents(root, f"reports/{NAME}/drift.json"),
}
