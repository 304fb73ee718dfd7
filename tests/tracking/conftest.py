"""One database for all tests in this folder; each test uses its own names in it, and no run has the id of 32 zeros."""

import tempfile
from pathlib import Path

import pytest
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

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


@pytest.fixture
def artifacts_elsewhere(
    store_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of temporary files, while MLflow copies artifacts of the store as if they were on another machine."""
    folder, at_once = tmp_path_factory.mktemp("temporary"), LocalArtifactRepository.download_artifacts

    def download(repository: LocalArtifactRepository, artifact_path: str, dst_path: str | None = None) -> str:
        is_of_store = Path(repository.artifact_dir).is_relative_to(store_folder)
        found = (ArtifactRepository.download_artifacts if is_of_store else at_once)(repository, artifact_path, dst_path)
        return str(found)

    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(LocalArtifactRepository, "download_artifacts", download)
    return folder
