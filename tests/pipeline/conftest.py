"""A copy of the project in which the whole pipeline has really run, on a small matrix and for one epoch."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.fork_server import bin_folder

PROJECT = Path(__file__).resolve().parents[2]
PARTS = [
    "conf",
    "data/demo",
    "pipelines",
    "pretrained/.gitignore",
    "src",
    "tests/nn",
    "dvc.yaml",
    "pyproject.toml",
    "constraints.txt",
    "Makefile",
    ".dvcignore",
    ".gitignore",
]
PLAN = {
    "classification": {"datasets": ["demo_reviews"], "models": ["fcnn", "lstm"]},
    "labeling": {"datasets": ["demo_entities"], "models": ["fcnn", "bilstm"]},
    "pretrain": {},
    "seeds": [1],
    "tokenizer": "words",
    "trainer": "auto",
}
# Settings in the copy that make the trainings and evaluations short.
SHORT = [
    ("conf/trainer/auto.yaml", r"max_epochs: \d+", "max_epochs: 1"),
    ("conf/prepare.yaml", "limit: null", "limit: 400"),
]


class Project:
    """A checkout to run commands in, with its own database."""

    def __init__(self, root: Path) -> None:
        self.root = root
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "MAKE"))}
        scripts = Path(sys.executable).parent
        self.environment = {
            **environment,
            "PATH": f"{bin_folder()}:{scripts}:{environment['PATH']}",
            "PYTHONPATH": str(root / "src"),
        }

    def run(self, command: str, timeout: float | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            shell=True,
            cwd=self.root,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def ok(self, command: str, **environment: str) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run(command, **environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def commit(self) -> None:
        """Commit the tracked files as they are."""
        self.ok("git -c user.name=t -c user.email=t@t commit -qam 'a commit'")


def copy_project(root: Path, short: bool = True) -> Project:
    """Copy what a clone would contain into `root`, with git and DVC, a small plan and, if `short`, small settings."""
    for part in PARTS:
        source, target = PROJECT / part, root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, target)
    (root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(PROJECT / ".dvc" / name, root / ".dvc" / name)
    (root / "params.yaml").write_text(yaml.safe_dump(PLAN))
    for name, long, replacement in SHORT if short else []:
        text = (root / name).read_text()
        assert re.search(long, text)
        (root / name).write_text(re.sub(long, replacement, text))
    _link_environment(root / ".venv")
    project = Project(root)
    project.ok("git init -q && git add -A")
    project.commit()
    return project


def _link_environment(folder: Path) -> None:
    """Make what `make` asks for: the environment that these tests run in, with the `python` of the fork server."""
    (folder / "bin").mkdir(parents=True)
    for program in Path(sys.executable).parent.iterdir():
        (folder / "bin" / program.name).symlink_to(program)
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to(bin_folder() / "python")
    (folder / ".ready").touch()


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after `dvc repro`."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    project.ok("dvc repro")
    return project


@pytest.fixture(scope="session")
def prepared_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with prepared data, in which nothing is trained."""
    project = copy_project(tmp_path_factory.mktemp("prepared"))
    for dataset in ("demo_reviews", "demo_entities"):
        for stage in ("download", "prepare"):
            project.ok(f"python pipelines/{stage}.py dataset={dataset}")
    return project


@pytest.fixture(autouse=True)
def committed_tree(request: pytest.FixtureRequest) -> Iterator[None]:
    """Restore the project's code after a test, because `register` accepts committed code only."""
    yield
    if "reproduced" in request.fixturenames:
        project: Project = request.getfixturevalue("reproduced")
        project.ok("git checkout -q -- . && git clean -fdq conf pipelines src")
