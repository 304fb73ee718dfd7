"""A folder with a database, artifacts and a registered model, which is moved or copied."""

import runpy
import shutil
import sqlite3
import sys
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.models import Model
from mlflow.tracking._tracking_service import utils

from unroll.tracking.moved import RECORDED, correct_paths, main
from unroll.tracking.store import open_experiment, open_store

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run, its artifact, and a version of its model."""
    folder = tmp_path_factory.mktemp("store") / "my project_%"  # characters with a meaning in URIs and in SQL
    with pytest.MonkeyPatch.context() as patch:
        client = opened(folder, patch)
        experiment = open_experiment(client, "reviews")
        run = client.create_run(experiment).info.run_id
        client.log_text(run, "of the old folder", "note.txt")
        model = client.create_logged_model(experiment, "model", source_run_id=run)
        saved = folder / "saved"
        saved.mkdir()
        Model(model_id=model.model_id).save(str(saved / "MLmodel"))
        client.log_model_artifacts(model.model_id, str(saved))
        client.finalize_logged_model(model.model_id, "READY")
        client.create_registered_model("reviews")
        client.create_model_version("reviews", f"models:/{model.model_id}", run, model_id=model.model_id)
    return folder


def opened(folder: Path, patch: pytest.MonkeyPatch) -> MlflowClient:
    """A client that remembers no folder of another test's."""
    patch.setattr(utils, "_artifact_repos_cache", OrderedDict())
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db".replace("%", "%25"))
    return open_store()


def recorded(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "mlflow.db") as connection:
        return [
            value
            for table, column in RECORDED.items()
            for (value,) in connection.execute(f"SELECT {column} FROM {table} WHERE {column} LIKE '%/mlartifacts/%'")
        ]


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_everything_is_found_in_the_new_folder_and_the_old_one_is_left_alone(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    old, new = tmp_path / original.name, tmp_path / "new_name"
    shutil.copytree(original, old)
    correct_paths(old / "mlflow.db")
    (shutil.move if how == "moved" else shutil.copytree)(old, new)
    before = sorted(old.rglob("*"))

    client = opened(new, monkeypatch)
    assert len(recorded(new)) == len(RECORDED)
    assert all(value.startswith((new / "mlartifacts/reviews").as_uri()) for value in recorded(new))
    (run,) = client.search_runs([open_experiment(client, "reviews")])
    client.log_text(run.info.run_id, "of the new folder", "another.txt")
    assert {it.path for it in client.list_artifacts(run.info.run_id)} == {"note.txt", "another.txt"}
    found = mlflow.artifacts.download_artifacts("models:/reviews/1", tracking_uri=client.tracking_uri)
    assert (Path(found) / "MLmodel").is_file()
    assert sorted(old.rglob("*")) == before == ([] if how == "moved" else before)


def test_artifacts_that_were_left_behind_stay_where_they_are(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in original.glob("mlflow.db*"):  # with its write-ahead log
        shutil.copy(file, tmp_path)
    client = opened(tmp_path, monkeypatch)
    assert recorded(tmp_path) == recorded(original)
    (run,) = client.search_runs([open_experiment(client, "reviews")])
    assert [it.path for it in client.list_artifacts(run.info.run_id)] == ["note.txt"]


def test_the_command_for_users_of_mlflow_alone(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(original, tmp_path / "copy")
    monkeypatch.setattr(sys, "argv", ["moved", str(tmp_path / "copy/mlflow.db"), str(tmp_path / "nothing.db")])
    runpy.run_path(str(PROJECT / "src/unroll/tracking/moved.py"), run_name="__main__")
    assert all(value.startswith((tmp_path / "copy/mlartifacts").as_uri()) for value in recorded(tmp_path / "copy"))
    assert not (tmp_path / "nothing.db").exists()


def test_a_database_with_right_paths_is_not_waited_for(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original, tmp_path / "copy")
    correct_paths(tmp_path / "copy/mlflow.db")
    with closing(sqlite3.connect(tmp_path / "copy/mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        correct_paths(tmp_path / "copy/mlflow.db")


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.db").write_text("no database\n" * 100)
    monkeypatch.setattr(sys, "argv", ["moved", str(tmp_path / "mlflow.db")])
    with pytest.raises(SystemExit, match=r"^error: .*mlflow\.db cannot be used: .*; see docs/tracking\.md"):
        main()
