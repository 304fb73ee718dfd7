"""One database for all tests in this folder; each test uses its own names in it."""

from pathlib import Path

import pytest

from tests.tracking.repository import commit_everything, enter


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def tracking_uri(store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of the database, which the tests share because creating one takes seconds."""
    uri = f"sqlite:///{store_folder}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one commit, as the current folder."""
    for name in ("src/net.py", "conf/train.yaml", "dvc.lock", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    (tmp_path / ".gitignore").write_text("*.log\n")
    commit_everything(tmp_path)
    enter(tmp_path, monkeypatch)
    return tmp_path
