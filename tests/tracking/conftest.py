"""One database for all tests of this folder, each of which takes names of its own in it."""

from pathlib import Path

import pytest

from tests.tracking.repository import commit_everything, enter


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def tracking_uri(store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database's URI; a new database takes seconds, so there is one."""
    uri = f"sqlite:///{store_folder}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one commit, which is the current folder."""
    for name in ("src/net.py", "conf/train.yaml", "dvc.lock", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    (tmp_path / ".gitignore").write_text("*.log\n")
    commit_everything(tmp_path)
    enter(tmp_path, monkeypatch)
    return tmp_path
