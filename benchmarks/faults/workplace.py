"""A folder in which commands run as a user runs them, with an MLflow database of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.results import Results, checksum
from tests.fork_server import bin_folder
from unroll.project import project_root
from unroll.tracking.moved import correct_paths

NAME = "demo_reviews"
PATIENCE = 600  # seconds that a command may take
OF_DVC = ("dvc.yaml", "pretrained/.gitignore", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")
PARTS = ("conf", "pipelines", "src", f"data/demo/{NAME}", *OF_DVC)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status (negative: the signal), and all that it printed."""

    status: int
    printed: str


@dataclass(frozen=True)
class Workplace:
    """A copy of the checkout's code and configuration, which may be damaged, with its data, models and reports.

    Args:
        root: the folder.
    """

    root: Path

    @classmethod
    def new(cls, root: Path) -> "Workplace":
        """A copy of the checkout, with the source of the demo reviews only, and new text for `drift.py`."""
        for part in PARTS:
            source, target = project_root() / part, root / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy(source, target)
        (root / "new.txt").write_text("a fine film\nnot good at all\nI liked it\n" * 20)
        return cls(root)

    def copy(self, root: Path) -> "Workplace":
        """The same files in another folder."""
        shutil.copytree(self.root, root, symlinks=True)
        if (root / "mlflow.db").exists():  # it contains absolute paths
            correct_paths(root / "mlflow.db")
        return Workplace(root)

    @property
    def environment(self) -> dict[str, str]:
        own = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "GIT_"))}
        return own | {
            "PYTHONPATH": str(self.root / "src"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.root}/mlflow.db",
            "DVC_SITE_CACHE_DIR": str(self.root / ".dvc/tmp/site"),  # what DVC keeps of each folder elsewhere
        }

    def start(self, command: str, limit: Callable[[], None] | None = None) -> "subprocess.Popen[str]":
        """Start a command; with a `limit`, which its process calls first, without the fork server."""
        name, *options = command.split()
        python = str(bin_folder() / "python") if limit is None else sys.executable
        return subprocess.Popen(
            [python, str(self.root / "pipelines" / f"{name}.py"), *options],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=limit,
        )

    def run(self, command: str, limit: Callable[[], None] | None = None) -> Ended:
        """Run a command to its end; one that takes longer than `PATIENCE` is killed."""
        process = self.start(command, limit)
        try:
            printed, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, _ = process.communicate()
            printed += f"\nkilled after {PATIENCE} s"
        return Ended(process.returncode, printed)

    def ok(self, command: str) -> str:
        """Run a command that must succeed; return what it printed."""
        ended = self.run(command)
        if ended.status:
            raise RuntimeError(f"{command}\n{ended.printed}")
        return ended.printed

    def shell(self, command: str) -> None:
        """Run any other program, which must succeed; it finds `python` in the fork server."""
        path = {"PATH": f"{bin_folder()}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            command, shell=True, cwd=self.root, env=self.environment | path, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command}\n{done.stdout}{done.stderr}")


@dataclass(frozen=True)
class Start:
    """A command, and a workplace in which all commands before it have run.

    Args:
        results: reads what the command writes.
        expected: the checksum of what it writes without a fault.
    """

    work: Workplace
    command: str
    results: Results
    expected: str

    @classmethod
    def of(cls, work: Workplace, command: str, results: Results, done: Workplace) -> "Start":
        """The start of a command that has run in `done`."""
        expected = checksum(results, done.root)
        if not expected:
            raise RuntimeError(f"{command}: no results in {done.root}")
        return cls(work, command, results, expected)

    @classmethod
    def undisturbed(cls, work: Workplace, command: str, results: Results, folder: Path) -> "Start":
        """The start of a command, which is run once without a fault, in a copy at `folder` that is deleted again."""
        done = work.copy(folder)
        done.ok(command)
        start = cls.of(work, command, results, done)
        shutil.rmtree(folder)
        return start

    def is_expected(self, work: Workplace) -> bool:
        """Whether the command has written in `work`, a copy, what it writes without a fault."""
        return checksum(self.results, work.root) == self.expected
