import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.entities import LoggedModelOutput

import unroll
from tests.tiny import NETWORKS, save_baseline, save_random_model
from tests.tracking.trained import make_provenance
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.predictor import Predictor
from unroll.tracking.models import (
    PACKAGES,
    ModelDamaged,
    fetch_model,
    find_model,
    log_model,
    model_uri,
    sound_model_uri,
)
from unroll.tracking.runs import training_run
from unroll.tracking.store import open_experiment, open_store

TEXTS = ["Not very good today.", "Ada Brown met us in Paris, so warm!", "unheard-of", "old"]
SOURCE = Path(unroll.__file__).parent

# Loads the models given on the command line without access to this project's package; prints their predictions.
ELSEWHERE = """
import json, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path = [folder for folder in sys.path if folder != sys.argv[1]]
import mlflow, pandas
texts = pandas.DataFrame({"text": json.loads(sys.argv[2])})
for uri in sys.argv[3:]:
    answers = mlflow.pyfunc.load_model(uri).predict(texts)
    print(json.dumps(answers.to_dict("records")))
import unroll
print(unroll.__file__)
"""


MODELS: dict[str, Task] = {
    "gru": "classification",
    "bilstm_char_crf": "labeling",
    "lstm": "multilabel",
    "majority": "labeling",
    "tfidf": "classification",
    "crfsuite": "labeling",
}


@pytest.fixture(scope="module")
def folders(prepared: dict[Task, PreparedData], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    trained = tmp_path_factory.mktemp("trained")
    return {
        model: (save_random_model if model in NETWORKS else save_baseline)(prepared[task], trained / model, model)
        for model, task in MODELS.items()
    }


@pytest.fixture(scope="module")
def uris(
    folders: dict[str, Path],
    prepared: dict[Task, PreparedData],
    store_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The URI of each model, logged to its own run."""
    logged = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        for model, folder in folders.items():
            record = tmp_path_factory.mktemp("record") / "run.json"
            with training_run(make_provenance(prepared[MODELS[model]], f"models-{model}"), record) as run:
                logged[model] = log_model(run, folder)
    return logged


@pytest.mark.parametrize("model", MODELS)
def test_a_logged_model_predicts_the_same_as_the_predictor(
    model: str, uris: dict[str, str], folders: dict[str, Path]
) -> None:
    assert uris[model].startswith("models:/m-")
    loaded = mlflow.pyfunc.load_model(uris[model])
    answers = loaded.predict(pd.DataFrame({"text": TEXTS})).to_dict("records")
    assert answers == Predictor.load(folders[model]).predict(TEXTS)


def test_a_model_takes_a_column_of_text(uris: dict[str, str]) -> None:
    signature = mlflow.models.get_model_info(uris["gru"]).signature
    assert [(column.name, column.type.name) for column in signature.inputs] == [("text", "string")]


def test_a_logged_model_takes_tokens_where_the_predictor_does(uris: dict[str, str], folders: dict[str, Path]) -> None:
    sentences = [["Ada", "Brown", "'s", "New York"], ["warm"]]
    loaded = mlflow.pyfunc.load_model(uris["bilstm_char_crf"])
    answers = loaded.predict(pd.DataFrame({"tokens": sentences})).to_dict("records")
    assert answers == Predictor.load(folders["bilstm_char_crf"]).predict(sentences)


def test_a_logged_model_keeps_the_place_of_a_text_that_cannot_be_used(
    uris: dict[str, str], folders: dict[str, Path]
) -> None:
    answers = mlflow.pyfunc.load_model(uris["gru"]).predict(
        pd.DataFrame({"text": ["old", None, " ", "warm"]}), params={"errors": "coerce"}
    )
    assert answers["label"].isna().tolist() == answers["probability"].isna().tolist() == [False, True, True, False]
    expected = Predictor.load(folders["gru"]).predict(["old", "warm"])
    assert answers.iloc[[0, 3]].to_dict("records") == expected


def test_a_model_loads_where_this_project_is_not(
    uris: dict[str, str], folders: dict[str, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", ELSEWHERE, str(SOURCE.parent), json.dumps(TEXTS), *uris.values()]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *answers, package = done.stdout.splitlines()
    assert [json.loads(line) for line in answers] == [Predictor.load(folders[model]).predict(TEXTS) for model in uris]
    assert not Path(package).is_relative_to(SOURCE.parent)


def imported_packages(file: Path, seen: set[Path]) -> set[str]:
    """The top-level packages that a module of this project imports, directly or through other modules of it."""
    seen.add(file)
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
            ours = SOURCE.parent / Path(*node.module.split("."))
            for next_file in (ours.with_suffix(".py"), ours / "__init__.py"):
                if next_file.is_file() and next_file not in seen:
                    found |= imported_packages(next_file, seen)
    return found


def test_a_model_s_requirements_are_what_its_code_imports(uris: dict[str, str]) -> None:
    names = {"hydra": "hydra-core", "sklearn": "scikit-learn", "pycrfsuite": "python-crfsuite", "yaml": "PyYAML"}
    imported = imported_packages(SOURCE / "inference" / "mlflow_model.py", set())
    needed = {names.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"unroll"}}
    assert needed <= set(PACKAGES)
    folder = Path(mlflow.artifacts.download_artifacts(uris["bilstm_char_crf"]))
    pinned = [line.partition("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()]
    assert sorted(pinned) == sorted(PACKAGES)


def test_the_artifacts_hold_no_pickle(uris: dict[str, str]) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(uris["bilstm_char_crf"]))
    names = [file.name for file in folder.rglob("*") if file.is_file()]
    assert "weights.safetensors" in names
    assert [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".pyc"))] == []


def test_a_run_s_model_is_found(uris: dict[str, str]) -> None:
    client = open_store()
    for uri in uris.values():
        run_id = client.get_logged_model(uri.removeprefix("models:/")).source_run_id
        assert run_id is not None
        assert find_model(client, run_id) == model_uri(client, run_id) == uri


def test_a_model_belongs_to_its_run_s_experiment_and_lies_there(uris: dict[Task, str], store_folder: Path) -> None:
    client = open_store()
    for task, uri in uris.items():
        model = client.get_logged_model(uri.removeprefix("models:/"))
        assert client.get_experiment(model.experiment_id).name == f"models-{task}"
        assert model.name == "model"
        assert model.artifact_location.startswith((store_folder / "mlartifacts" / f"models-{task}").as_uri())


def test_a_run_whose_model_is_not_whole_names_the_command(tracking_uri: str) -> None:
    client = open_store()
    experiment = open_experiment(client, "not-whole")
    run = client.create_run(experiment)
    model = client.create_logged_model(experiment, source_run_id=run.info.run_id)
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    for _ in range(2):
        assert find_model(client, run.info.run_id) is None
        with pytest.raises(ValueError) as error:
            model_uri(client, run.info.run_id)
        for part in (tracking_uri, run.info.run_id, "python pipelines/upload.py"):
            assert part in str(error.value)
        client.finalize_logged_model(model.model_id, "FAILED")
    client.finalize_logged_model(model.model_id, "READY")
    assert model_uri(client, run.info.run_id) == f"models:/{model.model_id}"


def test_a_model_that_somebody_deleted_is_none(folders: dict[str, Path], reviews: PreparedData, tmp_path: Path) -> None:
    with training_run(make_provenance(reviews), tmp_path / "run.json") as run:
        uris = [log_model(run, folders["gru"]) for _ in range(2)]
    for uri, left in ((uris[1], uris[0]), (uris[0], None)):
        run.client.delete_logged_model(uri.removeprefix("models:/"))
        assert find_model(run.client, run.run_id) == left


def test_a_model_that_changed_in_the_store_is_refused_and_logged_again_from_its_folder(
    folders: dict[str, Path], reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with training_run(make_provenance(reviews), tmp_path / "run.json") as run:
        uri = log_model(run, folders["gru"])
    assert sound_model_uri(run, folders["gru"]) == uri
    code = Path(mlflow.artifacts.download_artifacts(uri)) / "code/unroll/data/text.py"
    code.write_bytes(code.read_bytes().replace(b"a", b"b", 1))
    with pytest.raises(ModelDamaged, match=rf"^{uri} is damaged in MLflow \(code/unroll/data/text.py changed after"):
        fetch_model(run.client, uri)
    again = sound_model_uri(run, folders["gru"])
    assert again == find_model(run.client, run.run_id) != uri
    assert f"{uri} is damaged in MLflow" in capsys.readouterr().out
    assert fetch_model(run.client, again)
