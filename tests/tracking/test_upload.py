import math
import uuid
from pathlib import Path
from typing import Any

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.tracking.trained import FIGURES, HISTORY, evaluate_tiny, run_of, train_pretending, write_record
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.evaluation.figures import confusion_figure
from unroll.files import read_json, write_json
from unroll.locks import run_lock
from unroll.run_folder import RunFolder
from unroll.tracking.logger import EpochLogger
from unroll.tracking.models import find_model
from unroll.tracking.provenance import PROVENANCE, Provenance
from unroll.tracking.upload import PREDICTIONS, log_evaluation, logged_predictions, run_folders, upload, upload_all

SCORES = ["train/loss", "val/loss"]
TABLES = {"classes.csv", "confusion.csv", "history.csv", "predictions.parquet"}


@pytest.fixture
def trained(reviews: PreparedData, tmp_path: Path) -> Path:
    """A run folder whose run is only created in the store."""
    return train_pretending(reviews, tmp_path / "gru" / "3")


@pytest.fixture
def evaluated(reviews: PreparedData, trained: Path) -> Path:
    return evaluate_tiny(reviews, trained)


def points(folder: Path, name: str) -> dict[int, list[float]]:
    """The values of a metric of the run by epoch, with nan as text."""
    run = run_of(folder)
    found: dict[int, list[Any]] = {}
    for point in run.client.get_metric_history(run.run_id, name):
        found.setdefault(point.step, []).append("nan" if math.isnan(point.value) else point.value)
    return found


def test_everything_that_is_missing_from_a_run_is_uploaded(evaluated: Path) -> None:
    assert upload(evaluated) == ["3 of 3 epochs", "figures", "model", "evaluation", "end"]
    run = run_of(evaluated)
    logged = run.client.get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert points(evaluated, "train/loss") == {1: [0.9], 2: [0.30000000000000004], 3: [0.1]}
    assert points(evaluated, "val/loss") == {1: [0.8], 2: [0.5], 3: ["nan"]}
    assert FIGURES.items() <= logged.data.metrics.items()
    assert read_json(evaluated / "metrics.json").items() <= logged.data.metrics.items()
    assert "seed" not in logged.data.metrics
    assert find_model(run.client, run.run_id)


def test_a_second_time_nothing_is_missing(evaluated: Path) -> None:
    upload(evaluated)
    run = run_of(evaluated)
    before = run.client.get_run(run.run_id)
    assert upload(evaluated) == []
    after = run.client.get_run(run.run_id)
    assert str(after.to_dictionary()) == str(before.to_dictionary())  # as text, because nan is not equal to itself
    assert all(len(run.client.get_metric_history(run.run_id, name)) == 1 for name in FIGURES)


def test_epochs_that_are_there_are_not_logged_again(trained: Path) -> None:
    logger = EpochLogger(run_of(trained))
    for epoch in (0, 2):
        row = HISTORY.iloc[epoch]
        logger.log_metrics({"epoch": epoch, **{name: float(row[name]) for name in SCORES}}, step=100 * epoch)
    assert "1 of 3 epochs" in upload(trained)
    for name in SCORES:
        assert {epoch: len(values) for epoch, values in points(trained, name).items()} == {1: 1, 2: 1, 3: 1}


def test_epochs_lie_in_time_as_they_were_trained(trained: Path) -> None:
    upload(trained)
    run = run_of(trained)
    start = run.client.get_run(run.run_id).info.start_time
    history = run.client.get_metric_history(run.run_id, "train/loss")
    assert [point.timestamp - start for point in history] == [1500, 3000, 4500]


def test_more_points_than_fit_one_request_are_logged(trained: Path) -> None:
    rows = "".join(f"{epoch},{epoch / 7},0.5,{epoch}\n" for epoch in range(1, 1301))
    (trained / "history.csv").write_text(f"epoch,train/loss,learning_rate,seconds\n{rows}")
    assert "1300 of 1300 epochs" in upload(trained)
    assert points(trained, "train/loss") == {epoch: [epoch / 7] for epoch in range(1, 1301)}


def test_a_run_of_another_store_is_created_and_the_folder_stays(evaluated: Path) -> None:
    old = uuid.uuid4().hex
    write_json(evaluated / "run.json", read_json(evaluated / "run.json") | {"run_id": old})
    before = {file: file.read_bytes() for file in evaluated.rglob("*") if file.is_file()}
    assert upload(evaluated) == ["run", "3 of 3 epochs", "figures", "model", "evaluation", "end"]
    assert upload(evaluated) == []
    run = run_of(evaluated)
    logged, provenance = run.client.get_run(run.run_id), Provenance.load(evaluated / PROVENANCE)
    assert logged.data.tags["original_run_id"] == old
    assert provenance.tags.items() <= logged.data.tags.items()
    assert logged.data.params == {"seed": "3"}
    assert (logged.info.run_name, logged.info.status) == ("gru-3", "FINISHED")
    assert {file: file.read_bytes() for file in evaluated.rglob("*") if file.is_file()} == before


def test_a_run_whose_creation_broke_off_is_completed(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise MlflowException("API request failed")

    write_json(evaluated / "run.json", read_json(evaluated / "run.json") | {"run_id": uuid.uuid4().hex})
    with monkeypatch.context() as patch, pytest.raises(MlflowException):
        patch.setattr(MlflowClient, "log_batch", fail)
        upload(evaluated)
    assert upload(evaluated)[0] == "provenance"
    assert run_of(evaluated).client.get_run(run_of(evaluated).run_id).data.params == {"seed": "3"}


def test_a_model_whose_upload_broke_off_is_uploaded_whole(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise MlflowException("API request failed")

    with monkeypatch.context() as patch, pytest.raises(MlflowException):
        patch.setattr(MlflowClient, "log_model_artifacts", fail)
        upload(trained)
    run = run_of(trained)
    assert find_model(run.client, run.run_id) is None
    assert run.client.get_run(run.run_id).info.status == "RUNNING"
    assert upload(trained) == ["model", "end"]
    assert find_model(run.client, run.run_id)


def test_a_run_that_ended_badly_and_was_trained_again_is_finished(trained: Path) -> None:
    run = run_of(trained)
    run.client.set_terminated(run.run_id, "FAILED")
    assert upload(trained)[-1] == "end"
    assert run.client.get_run(run.run_id).info.status == "FINISHED"


def test_a_deleted_run_is_left_alone(trained: Path) -> None:
    run = run_of(trained)
    run.client.delete_run(run.run_id)
    with pytest.raises(ValueError, match=f"is deleted; to restore it: .* mlflow runs restore --run-id {run.run_id}"):
        upload(trained)


def test_a_folder_that_does_not_say_what_it_was_trained_with_is_named(trained: Path) -> None:
    (trained / PROVENANCE).rename(trained / "elsewhere")
    with pytest.raises(
        ValueError, match=r"gru/3/training, the provenance of the training in .*gru/3, is missing: retrain"
    ):
        upload(trained)


def test_a_model_without_epochs_is_uploaded(trained: Path) -> None:
    (trained / "history.csv").unlink()
    assert upload(trained) == ["figures", "model", "end"]


def test_a_folder_in_which_another_training_is_under_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    write_json(tmp_path / "run.json", {"run_id": "old"})
    write_json(tmp_path / "checkpoints" / "run.json", {"run_id": "new"})
    assert run_folders(tmp_path) == []
    write_json(tmp_path / "checkpoints" / "run.json", {"run_id": "old"})  # killed during its upload
    assert run_folders(tmp_path) == [tmp_path]
    with run_lock(tmp_path):  # its upload is running
        assert run_folders(tmp_path) == []


def test_the_folders_of_finished_trainings_are_found(tmp_path: Path) -> None:
    names = ["models/a/gru/1", "models/a/gru/2", "multirun/2030-01-01/0", "multirun/2030-01-01/1/checkpoints"]
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        write_json(tmp_path / name / "run.json", {})
    roots = (tmp_path / "models", tmp_path / "multirun", tmp_path / "nowhere")
    assert [str(folder.relative_to(tmp_path)) for folder in run_folders(*roots)] == names[:3]
    assert run_folders(tmp_path / names[0]) == [tmp_path / names[0]]


def test_the_trainings_that_cannot_be_uploaded_are_named_and_the_others_are(
    evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "damaged").mkdir()
    write_json(tmp_path / "damaged" / "run.json", {"run_id": "0"})
    with pytest.raises(ValueError, match="1 of 2 runs were not uploaded"):
        upload_all([tmp_path])
    printed = capsys.readouterr().out
    assert f"{tmp_path}/damaged: not uploaded: " in printed
    assert f"{evaluated}: uploaded 3 of 3 epochs, figures, model, evaluation, end\n" in printed
    upload_all([evaluated])
    assert capsys.readouterr().out == "nothing is missing: MLflow has all of 1 runs\n"


def test_a_folder_without_a_finished_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"folder={tmp_path}: no finished training; accepted: "):
        upload_all([tmp_path])


@pytest.fixture(params=["classification", "labeling", "multilabel"])
def scored(request: pytest.FixtureRequest, prepared: dict[Task, PreparedData], tmp_path: Path) -> Path:
    """A run folder after the train and the evaluate stage."""
    data = prepared[request.param]
    return evaluate_tiny(data, train_pretending(data, tmp_path / "gru" / "3", "evaluations"))


def test_test_metrics_and_speed_are_added_to_the_training_s_run(scored: Path) -> None:
    log_evaluation(run_of(scored), RunFolder(scored))
    run = run_of(scored).client.get_run(run_of(scored).run_id)
    speed = read_json(scored / "throughput.json")["tokens_per_second"]
    assert run.data.metrics == read_json(scored / "metrics.json") | {"tokens_per_second": speed}
    assert {"test/accuracy", "test/loss"} <= set(run.data.metrics)


@pytest.mark.parametrize("scored", ["multilabel"], indirect=True)
def test_labels_that_are_decided_by_themselves_have_tables_and_no_picture(scored: Path) -> None:
    log_evaluation(run_of(scored), RunFolder(scored))
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{run_of(scored).run_id}/evaluation"))
    assert {file.name for file in folder.iterdir()} == TABLES


@pytest.mark.parametrize("scored", ["classification", "labeling"], indirect=True)
def test_tables_and_the_picture_are_artifacts(scored: Path) -> None:
    log_evaluation(run_of(scored), RunFolder(scored))
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{run_of(scored).run_id}/evaluation"))
    assert {file.name for file in folder.iterdir()} == {*TABLES, "confusion.png"}
    for name in TABLES:
        assert (folder / name).read_bytes() == (scored / name).read_bytes()
    picture = matplotlib.image.imread(folder / "confusion.png")  # (height, width, 4)
    assert min(picture.shape[:2]) > 200
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 10  # not blank


@pytest.mark.parametrize("scored", ["classification"], indirect=True)
def test_labels_that_look_like_something_else_are_drawn_as_they_are(
    scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["NA", "1"]
    confusion = pd.DataFrame([[3, 1], [0, 2]], index=pd.Index(names, name="gold"), columns=names)
    confusion.to_csv(scored / "confusion.csv")
    drawn = []
    monkeypatch.setattr(
        "unroll.tracking.upload.confusion_figure", lambda table: drawn.append(table) or confusion_figure(table)
    )
    log_evaluation(run_of(scored), RunFolder(scored))
    pd.testing.assert_frame_equal(drawn[0], confusion)


@pytest.mark.parametrize("scored", ["classification"], indirect=True)
def test_what_is_there_already_is_not_logged_again(scored: Path) -> None:
    assert log_evaluation(run_of(scored), RunFolder(scored)) == ["evaluation"]
    assert log_evaluation(run_of(scored), RunFolder(scored)) == []
    assert len(run_of(scored).client.get_metric_history(run_of(scored).run_id, "test/accuracy")) == 1


@pytest.mark.parametrize("scored", ["classification"], indirect=True)
def test_a_file_that_is_missing_is_logged_and_no_score_again(scored: Path) -> None:
    log_evaluation(run_of(scored), RunFolder(scored))
    run = run_of(scored)
    Path(run.client.get_run(run.run_id).info.artifact_uri.removeprefix("file://"), "evaluation/confusion.png").unlink()
    assert log_evaluation(run_of(scored), RunFolder(scored)) == ["evaluation"]
    assert log_evaluation(run_of(scored), RunFolder(scored)) == []
    assert len(run.client.get_metric_history(run.run_id, "test/accuracy")) == 1


@pytest.mark.parametrize("scored", ["classification"], indirect=True)
def test_another_score_is_logged_beside_the_first(scored: Path) -> None:
    log_evaluation(run_of(scored), RunFolder(scored))
    write_json(scored / "metrics.json", read_json(scored / "metrics.json") | {"test/accuracy": 0.125})
    assert log_evaluation(run_of(scored), RunFolder(scored)) == ["evaluation"]
    run = run_of(scored)
    assert run.client.get_run(run.run_id).data.metrics["test/accuracy"] == 0.125
    assert len(run.client.get_metric_history(run.run_id, "test/loss")) == 1


def test_predictions_that_are_missing_are_named_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient("http://me:secret@127.0.0.1:9")
    monkeypatch.setattr(client, "list_artifacts", lambda *_: [])
    with pytest.raises(ValueError, match=r"run abc has no predictions .* http://me:\*\*\*@127") as error:
        logged_predictions(client, "abc")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("scored", ["classification"], indirect=True)
def test_predictions_that_changed_in_the_store_are_named_with_the_way_back(scored: Path) -> None:
    RunFolder(scored).stamp("evaluated", {})
    run = run_of(scored)
    log_evaluation(run, RunFolder(scored))
    assert len(logged_predictions(run.client, run.run_id))
    file = Path(run.client.get_run(run.run_id).info.artifact_uri.removeprefix("file://"), PREDICTIONS)
    pd.read_parquet(file).sample(frac=1, random_state=0).to_parquet(file)
    with pytest.raises(
        ValueError, match=rf"^runs:/{run.run_id}/{PREDICTIONS} is damaged \(its checksum .* delete it in"
    ):
        logged_predictions(run.client, run.run_id)
    file.unlink()
    log_evaluation(run, RunFolder(scored))
    file.unlink()
    file.mkdir()
    with pytest.raises(ValueError, match=r"is damaged \(a folder, not a file\): delete it in MLflow"):
        logged_predictions(run.client, run.run_id)


def test_the_devices_are_tags_of_the_run(reviews: PreparedData, evaluated: Path) -> None:
    """That of the training follows its record, that of the evaluation its throughput."""
    run = run_of(evaluated)
    write_record(evaluated, reviews, RunFolder(evaluated).read_record().run_id, device="cuda (NVIDIA H100)")
    assert "figures" in upload(evaluated)
    tags = run.client.get_run(run.run_id).data.tags
    assert (tags["device"], tags["evaluated_on"]) == ("cuda (NVIDIA H100)", "cpu")
    assert upload(evaluated) == []
