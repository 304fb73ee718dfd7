"""Models that are named by a folder, or in MLflow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import unroll
from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.inference.exporting.export import add_export
from unroll.inference.predictor import Predictor
from unroll.inference.server.source import FolderSource
from unroll.loading import find_source, mlflow_uri
from unroll.run_folder import RunFolder


def test_run_folders_and_model_folders_are_loaded(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_random_model(reviews, RunFolder(tmp_path).model)
    expected = Predictor.load(model).predict(["not good"])
    for where in (model, tmp_path, str(tmp_path), RunFolder(tmp_path)):
        assert unroll.load(where).predict(["not good"]) == expected
    monkeypatch.chdir(tmp_path.parent)
    tmp_path.rename("run@home")
    assert unroll.load(RunFolder(Path("run@home"))).predict(["not good"]) == expected


def test_what_is_no_model_is_refused_with_what_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r": no trained model in this folder; accepted: a run folder .*, NAME@champion or models:/"
    ):
        unroll.load(tmp_path)


@pytest.fixture(scope="module")
def logged(reviews: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An MLflow store with a registered model; its URI, the id of the last run, and the folder of the weights.

    Version 1 has weights only, as those of earlier releases; version 2, the champion, the export beside them.
    """
    from tests.tracking.trained import make_provenance
    from unroll.tracking.models import log_model
    from unroll.tracking.runs import training_run
    from unroll.tracking.store import open_store

    folder = tmp_path_factory.mktemp("store")
    store = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)
        add_export(save_random_model(reviews, folder / "weights"), folder / "exported")
        client = open_store()
        client.create_registered_model("reviews")
        for name in ("weights", "exported"):
            with training_run(make_provenance(reviews), folder / f"{name}.json") as run:
                uri = log_model(run, folder / name)
            client.create_model_version("reviews", uri, run_id=run.run_id, model_id=uri.removeprefix("models:/"))
        client.set_registered_model_alias("reviews", "champion", "2")
    return {"folder": str(folder / "weights"), "store": store, "run": run.run_id}


@pytest.mark.parametrize(
    "uri", ["reviews@champion", "models:/reviews@champion", "models:/reviews/1", "runs:/RUN", "runs:/RUN/model"]
)
def test_models_of_mlflow_are_loaded(uri: str, logged: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged["store"])
    (expected,) = Predictor.load(Path(logged["folder"])).predict(["not good"])
    (found,) = unroll.load(uri.replace("RUN", logged["run"])).predict(["not good"])
    assert found == {"label": expected["label"], "probability": pytest.approx(expected["probability"], abs=1e-5)}


def test_without_another_store_models_are_loaded_from_that_of_the_project(
    logged: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    database = Path(logged["store"].removeprefix("sqlite:///"))
    monkeypatch.setattr("unroll.project.database_folder", lambda project: database.parent)
    monkeypatch.setattr("unroll.project.database_folder", lambda project: database.parent)
    assert unroll.load("models:/reviews/1").predict(["good"])

    monkeypatch.setattr("unroll.project.database_folder", lambda project: database.parent / "elsewhere")
    with pytest.raises(ValueError, match=r"no MLflow store: .*elsewhere/mlflow\.db.*; accepted: MLFLOW_TRACKING_URI"):
        unroll.load("models:/reviews/1")


@pytest.mark.parametrize(
    "uri", ["models:/reviews/7", "nothing@champion", "models:/nothing@champion", "models:/reviews", "runs:/nothing"]
)
def test_what_mlflow_does_not_have_is_an_error_of_the_user(
    uri: str, logged: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged["store"])
    with pytest.raises(ValueError):
        unroll.load(uri)


@pytest.mark.parametrize("uri", ["models:/reviews", "models:/reviews/x", "models:/reviews/1/x"])
def test_what_is_no_name_of_a_registered_model_is_refused_with_what_is_registered(
    uri: str, logged: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged["store"])
    accepted = "not the name of a registered model; accepted: models:/NAME@ALIAS or models:/NAME/VERSION"
    for find in (unroll.load, find_source):
        with pytest.raises(ValueError) as error:
            find(uri)
        assert str(error.value) == f"{uri}: {accepted}; registered versions: 1, 2 (champion)"


def test_a_folder_that_does_not_exist_but_is_registered_is_named_by_its_alias(
    logged: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged["store"])
    monkeypatch.chdir(tmp_path)
    for find in (unroll.load, find_source):
        with pytest.raises(ValueError, match=r"^reviews: no such folder; .*; registered: reviews@champion$"):
            find("reviews")
        with pytest.raises(ValueError, match=r"^others: no such folder; (?!.*registered: )"):
            find("others")


# Predicts, and copies for the server, the model of argv[1], where only what a plain installation has can be imported.
PLAIN = """
import json, sys
from pathlib import Path
names = "hydra mlflow omegaconf onnx pandas pyarrow pytorch_lightning scipy sklearn sqlalchemy torch yaml"
for name in names.split():
    sys.modules[name] = None
import unroll
from unroll.loading import find_source
print(json.dumps(unroll.load(sys.argv[1]).predict(["not good"])))
source = find_source(sys.argv[1])
copy = source.copy(source.version(), Path(sys.argv[2]))
print(json.dumps(unroll.Predictor.load(copy.folder).predict(["not good"])))
for name in ("nobody@champion", "reviews@nobody"):
    try:
        unroll.load(name)
    except ValueError as error:
        print(error)
"""


@pytest.mark.parametrize("name", ["reviews@champion", "models:/reviews/2", "FOLDER"])
def test_a_model_with_onnx_needs_a_plain_installation_only(
    name: str, logged: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged["store"])
    exported = Path(logged["folder"]).with_name("exported")
    command = [sys.executable, "-c", PLAIN, str(exported) if name == "FOLDER" else name, str(tmp_path / "copy")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *answers, no_model, no_alias = done.stdout.splitlines()
    assert [json.loads(line) for line in answers] == 2 * [Predictor.load(exported).predict(["not good"])]
    assert no_model == "models:/nobody@champion: no such model; registered models: reviews"
    assert no_alias == "models:/reviews@nobody: no version has the alias nobody; registered versions: 1, 2 (champion)"


def test_a_name_with_an_alias_is_one_of_mlflow_unless_a_folder_has_it(
    tmp_path: Path, reviews: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mlflow_uri("a b@c") == mlflow_uri("models:/a b@c") == "models:/a b@c"
    assert mlflow_uri("models/a@b/1") is mlflow_uri("plain") is None
    save_random_model(reviews, Path("a b@c"))
    assert mlflow_uri("a b@c") is None
    assert isinstance(find_source("a b@c"), FolderSource)
    assert unroll.load("a b@c").predict(["not good"])
