import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from mlflow.entities import LoggedModelOutput
from mlflow.pyfunc import scoring_server

import unroll
from tests.tiny import NETWORKS, save_baseline, save_random_model
from tests.tracking.trained import make_provenance
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.exporting.encoders import CELLS
from unroll.inference.exporting.export import add_export
from unroll.inference.predictor import Predictor
from unroll.nn import GRU
from unroll.tracking.logged_model import EXPORTED, TRAINED
from unroll.tracking.models import (
    ModelDamaged,
    fetch_model,
    find_model,
    log_model,
    model_uri,
    registrable_model_uri,
)
from unroll.tracking.runs import TrackedRun, training_run
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
    print(json.dumps([answers.to_dict("records"), "torch" in sys.modules]))
import unroll
print(unroll.__file__)
"""


MODELS: dict[str, Task] = {
    "gru": "classification",
    "onnx": "classification",
    "bilstm_char_crf": "labeling",
    "lstm": "multilabel",
    "majority": "labeling",
    "tfidf": "classification",
    "crfsuite": "labeling",
}


@pytest.fixture(scope="module")
def folders(prepared: dict[Task, PreparedData], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    trained = tmp_path_factory.mktemp("trained")
    saved = {
        model: (save_random_model if model in NETWORKS else save_baseline)(prepared[task], trained / model, model)
        for model, task in MODELS.items()
        if model != "onnx"
    }
    assert add_export(saved["gru"], trained / "onnx")
    return saved | {"onnx": trained / "onnx"}


@pytest.fixture(scope="module")
def logged(
    folders: dict[str, Path],
    prepared: dict[Task, PreparedData],
    store_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[str, list[str]]]:
    """The URI of each model, logged to its own run, and the names of its files before its code is used and compiled."""
    logged = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        for model, folder in folders.items():
            record = tmp_path_factory.mktemp("record") / "run.json"
            with training_run(make_provenance(prepared[MODELS[model]], f"models-{model}"), record) as run:
                uri = log_model(run, folder)
            files = Path(mlflow.artifacts.download_artifacts(uri)).rglob("*")
            logged[model] = uri, [file.name for file in files if file.is_file()]
    return logged


@pytest.fixture(scope="module")
def uris(logged: dict[str, tuple[str, list[str]]]) -> dict[str, str]:
    return {model: uri for model, (uri, _) in logged.items()}


@pytest.mark.parametrize("model", MODELS)
def test_a_logged_model_predicts_the_same_as_the_predictor(
    model: str, uris: dict[str, str], folders: dict[str, Path]
) -> None:
    assert uris[model].startswith("models:/m-")
    loaded = mlflow.pyfunc.load_model(uris[model])
    answers = loaded.predict(pd.DataFrame({"text": TEXTS})).to_dict("records")
    assert answers == Predictor.load(folders[model]).predict(TEXTS)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_s_signature_has_the_columns_of_its_answers(model: str, uris: dict[str, str]) -> None:
    info = mlflow.models.get_model_info(uris[model])
    assert [(it.name, it.default) for it in info.signature.params] == [("errors", "raise"), ("probabilities", False)]
    loaded = mlflow.pyfunc.load_model(uris[model])
    for probabilities in (False, True):
        answers = loaded.predict(loaded.input_example, params={"probabilities": probabilities})
        outputs = info.signature.outputs
        assert list(answers) == (outputs.input_names() if probabilities else outputs.required_input_names())


def test_a_logged_model_reads_every_form_of_text(uris: dict[str, str], folders: dict[str, Path]) -> None:
    loaded, expected = mlflow.pyfunc.load_model(uris["onnx"]), Predictor.load(folders["onnx"]).predict(TEXTS)
    frame = pd.DataFrame({"other": 1, "text": TEXTS})
    assert loaded.predict(frame).to_dict("records") == expected
    columns: list[Any] = [{"text": TEXTS}, frame["text"], frame.to_dict("records"), {"text": np.array(TEXTS)}]
    for given in (*columns, TEXTS, np.array(TEXTS)):
        assert loaded.predict(given) == expected
    for single in (TEXTS[0], {"text": TEXTS[0]}, np.array(TEXTS[0])):
        assert loaded.predict(single) == expected[:1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"words": ["a"]}, "^columns words; accepted: text$"),
        (5, "^the input is 5; accepted: a text, a list of texts, or columns"),
        ({"text": 5}, "^text is not a list of texts"),
        ({"tokens": [["a", "b"]]}, "^columns tokens; accepted: text$"),
        (["good", " "], "^text 1 is empty: ' '; accepted: text with at least one token$"),
        ([None], "^text 0 is None; accepted by this model: a text$"),
    ],
)
def test_what_a_logged_model_cannot_read_is_refused_with_the_reason(
    given: Any, message: str, uris: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=message):
        mlflow.pyfunc.load_model(uris["onnx"]).predict(given)


def test_mlflow_s_server_answers_every_form_of_text(uris: dict[str, str], folders: dict[str, Path]) -> None:
    server = TestClient(scoring_server.init(mlflow.pyfunc.load_model(uris["onnx"])))
    expected = Predictor.load(folders["onnx"]).predict(TEXTS)
    split = {"columns": ["text"], "data": [[text] for text in TEXTS]}
    records = [{"text": text} for text in TEXTS]
    bodies: list[dict[str, Any]] = [{"dataframe_split": split}, {"dataframe_records": records}]
    bodies += [{key: value} for key in ("inputs", "instances") for value in (TEXTS, {"text": TEXTS})]
    for body in bodies:
        assert server.post("/invocations", json=body).json() == {"predictions": expected}
    for single in (TEXTS[0], {"text": TEXTS[0]}):
        assert server.post("/invocations", json={"inputs": single}).json() == {"predictions": expected[:1]}
    csv = pd.DataFrame(records).to_csv(index=False)
    answer = server.post("/invocations", content=csv, headers={"Content-Type": "text/csv"})
    assert answer.json() == {"predictions": expected}


def test_mlflow_s_server_answers_null_for_a_text_that_cannot_be_used(uris: dict[str, str]) -> None:
    server = TestClient(scoring_server.init(mlflow.pyfunc.load_model(uris["onnx"])))
    for given in ({"inputs": ["old", " "]}, {"dataframe_records": [{"text": "old"}, {"text": " "}]}):
        answer = server.post("/invocations", json=given | {"params": {"errors": "coerce"}})
        assert answer.json()["predictions"][1] == {"label": None, "probability": None}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"inputs": ["good", ""]}, "text 1 is empty: ''; accepted: text with at least one token"),
        ({"inputs": {"words": ["a"]}}, "columns words; accepted: text"),
        ({"dataframe_records": [{"words": "a"}]}, "columns words; accepted: text"),
        ({"inputs": None}, "the input is None; accepted: a text, a list of texts, or columns text, text_pair, tokens"),
        ({"inputs": [5]}, "text 0 is 5; accepted by this model: a text"),
        ({"inputs": ["a"], "params": {"errors": "no"}}, "errors='no'; accepted: raise, coerce"),
        ({"text": ["good"]}, "exactly one of the input fields"),
        ("{", "valid JSON"),
    ],
)
def test_mlflow_s_server_refuses_bad_input_with_the_reason_alone(body: Any, reason: str, uris: dict[str, str]) -> None:
    server = TestClient(scoring_server.init(mlflow.pyfunc.load_model(uris["onnx"])))
    content = body if isinstance(body, str) else json.dumps(body)
    answer = server.post("/invocations", content=content, headers={"Content-Type": "application/json"})
    found = answer.json()
    assert answer.status_code == 400 and "stack_trace" not in found
    assert reason in found["message"] and "Traceback" not in answer.text and "/" + "unroll/" not in answer.text
    if isinstance(body, dict) and "text" not in body:
        assert found["message"] == reason


def test_a_logged_model_takes_tokens_where_the_predictor_does(uris: dict[str, str], folders: dict[str, Path]) -> None:
    sentences = [["Ada", "Brown", "'s", "New York"], ["warm"]]
    loaded = mlflow.pyfunc.load_model(uris["bilstm_char_crf"])
    answers = loaded.predict(pd.DataFrame({"tokens": sentences})).to_dict("records")
    assert answers == Predictor.load(folders["bilstm_char_crf"]).predict(sentences)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tokens": ["a", "b"]}, "^tokens is not a list of lists of tokens"),
        ({"words": ["a"]}, "^columns words; accepted: text or tokens$"),
    ],
)
def test_what_a_logged_model_of_tokens_cannot_read_is_refused_with_the_reason(
    given: Any, message: str, uris: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=message):
        mlflow.pyfunc.load_model(uris["bilstm_char_crf"]).predict(given)


def test_columns_that_the_model_does_not_read_are_ignored(uris: dict[str, str], folders: dict[str, Path]) -> None:
    loaded, others = mlflow.pyfunc.load_model(uris["onnx"]), {"tokens": [["a"]], "text_pair": ["b", "c"]}
    assert loaded.predict({"text": TEXTS[:1], **others}) == Predictor.load(folders["onnx"]).predict(TEXTS[:1])


def test_a_logged_model_keeps_the_place_of_a_text_that_cannot_be_used(
    uris: dict[str, str], folders: dict[str, Path]
) -> None:
    answers = mlflow.pyfunc.load_model(uris["gru"]).predict(
        pd.DataFrame({"text": ["old", None, " ", "warm"]}), params={"errors": "coerce"}
    )
    assert answers["label"].isna().tolist() == answers["probability"].isna().tolist() == [False, True, True, False]
    expected = Predictor.load(folders["gru"]).predict(["old", "warm"])
    assert answers.iloc[[0, 3]].to_dict("records") == expected


def test_a_model_loads_where_this_project_is_not_and_with_onnx_without_pytorch(
    uris: dict[str, str], folders: dict[str, Path], tmp_path: Path
) -> None:
    models = ["onnx", *(model for model in MODELS if model != "onnx")]  # each loaded after those before it
    command = [sys.executable, "-c", ELSEWHERE, str(SOURCE.parent), json.dumps(TEXTS), *(uris[it] for it in models)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *lines, package = done.stdout.splitlines()
    for model, line in zip(models, lines, strict=True):
        assert json.loads(line) == [Predictor.load(folders[model]).predict(TEXTS), model != "onnx"]
    assert not Path(package).is_relative_to(SOURCE.parent)


def imported_packages(file: Path) -> set[str]:
    """The top-level packages that a file imports when it is imported."""
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"unroll"}


@pytest.mark.parametrize("model", ["gru", "onnx"])
def test_a_model_s_requirements_are_what_its_code_imports(
    model: str, uris: dict[str, str], distributions: Mapping[str, list[str]]
) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(uris[model]))
    imported = {name for file in (folder / "code").rglob("*.py") for name in imported_packages(file)}
    needed = {distribution for name in imported for distribution in distributions[name]}
    pinned = dict(line.split("==") for line in (folder / "requirements.txt").read_text().splitlines())
    assert sorted(pinned) == sorted(EXPORTED if model == "onnx" else TRAINED)
    assert needed - {"mlflow", "mlflow-tracing", "triton"} <= pinned.keys()  # the last comes with PyTorch, for GPUs
    assert all(version(name).partition("+")[0] == pinned[name] for name in pinned)


@pytest.fixture(scope="module")
def distributions() -> Mapping[str, list[str]]:
    """Those that each top-level package comes from."""
    return packages_distributions()


def test_an_exported_model_has_few_files(logged: dict[str, tuple[str, list[str]]]) -> None:
    assert len(logged["onnx"][1]) < 50


def test_the_artifacts_hold_no_pickle(logged: dict[str, tuple[str, list[str]]]) -> None:
    _, names = logged["bilstm_char_crf"]
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
        uri = log_model(run, folders["tfidf"])
    assert registrable_model_uri(run, folders["tfidf"]) == uri
    code = Path(mlflow.artifacts.download_artifacts(uri)) / "code/unroll/data/text.py"
    code.write_bytes(code.read_bytes().replace(b"a", b"b", 1))
    with pytest.raises(ModelDamaged, match=rf"^{uri} is damaged in MLflow \(code/unroll/data/text.py changed after"):
        fetch_model(run.client, uri, tmp_path / "damaged")
    again = registrable_model_uri(run, folders["tfidf"])
    assert again == find_model(run.client, run.run_id) != uri
    assert f"{uri} is damaged in MLflow" in capsys.readouterr().out
    fetch_model(run.client, again, tmp_path / "sound")


@pytest.mark.parametrize("is_folder", [True, False])
def test_one_file_of_a_logged_model_that_is_gone_is_named(
    folders: dict[str, Path], reviews: PreparedData, tmp_path: Path, is_folder: bool
) -> None:
    with training_run(make_provenance(reviews), tmp_path / "run.json") as run:
        uri = log_model(run, folders["tfidf"])
    file = Path(mlflow.artifacts.download_artifacts(uri)) / "MLmodel"
    file.unlink()
    if is_folder:
        file.mkdir()
    with pytest.raises(ModelDamaged, match=rf"^{uri} is damaged in MLflow \(MLmodel changed after it was logged\)"):
        fetch_model(run.client, uri, tmp_path / "damaged")


@pytest.mark.parametrize("interruption", [None, KeyboardInterrupt])
def test_no_copy_of_a_model_in_a_store_elsewhere_is_left_behind(
    interruption: type[BaseException] | None,
    uris: dict[str, str],
    artifacts_elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = open_store()
    run = TrackedRun(client, client.get_logged_model(uris["onnx"].removeprefix("models:/")).source_run_id)
    if interruption:
        monkeypatch.setattr("unroll.tracking.models.damaged_files", Mock(side_effect=interruption))
    with pytest.raises(interruption) if interruption else nullcontext():
        assert registrable_model_uri(run, Path("not needed")) == uris["onnx"]
    assert list(artifacts_elsewhere.iterdir()) == []


def test_a_network_is_registered_with_its_export_beside_the_weights(
    folders: dict[str, Path], reviews: PreparedData, tmp_path: Path
) -> None:
    with training_run(make_provenance(reviews), tmp_path / "run.json") as run:
        uri = log_model(run, folders["gru"])
    exported = registrable_model_uri(run, folders["gru"])
    assert exported == registrable_model_uri(run, folders["gru"]) == find_model(run.client, run.run_id) != uri
    fetch_model(run.client, exported, tmp_path / "fetched")
    names = {file.name for file in Path(tmp_path, "fetched/artifacts/model").iterdir()}
    assert names == {file.name for file in folders["gru"].iterdir()} | {"model.onnx"}


def test_a_network_that_cannot_be_exported_is_registered_as_it_is(
    folders: dict[str, Path],
    reviews: PreparedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(CELLS, GRU)
    with training_run(make_provenance(reviews), tmp_path / "run.json") as run:
        uri = log_model(run, folders["gru"])
    assert registrable_model_uri(run, folders["gru"]) == uri
    assert "GRU cannot be exported to ONNX" in capsys.readouterr().out
