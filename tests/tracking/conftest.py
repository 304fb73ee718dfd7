"""One database for all tests of this folder, each of which takes names of its own in it."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def tracking_uri(store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database's URI; a new database takes seconds, so there is one."""
    uri = f"sqlite:///{store_folder}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri
