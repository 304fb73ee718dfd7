from pathlib import Path

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.tracking.trained import evaluate_tiny, run_of, train_pretending
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.evaluation.figures import confusion_figure
from unroll.files import read_json, write_json
from unroll.tracking import evaluations
from unroll.tracking.evaluations import log_evaluation, logged_predictions

TABLES = {"classes.csv", "confusion.csv", "history.csv", "predictions.parquet"}


@pytest.fixture(params=["classification", "labeling", "multilabel"])
def evaluated(request: pytest.FixtureRequest, prepared: dict[Task, PreparedData], tmp_path: Path) -> Path:
    """A run folder after the train and the evaluate stage."""
    data = prepared[request.param]
    return evaluate_tiny(data, train_pretending(data, tmp_path / "gru" / "3", "evaluations"))


def test_test_metrics_and_speed_are_added_to_the_training_s_run(evaluated: Path) -> None:
    log_evaluation(evaluated)
    run = run_of(evaluated).client.get_run(run_of(evaluated).run_id)
    speed = read_json(evaluated / "throughput.json")["tokens_per_second"]
    assert run.data.metrics == read_json(evaluated / "metrics.json") | {"tokens_per_second": speed}
    assert {"test/accuracy", "test/loss"} <= set(run.data.metrics)


@pytest.mark.parametrize("evaluated", ["multilabel"], indirect=True)
def test_labels_that_are_decided_by_themselves_have_tables_and_no_picture(evaluated: Path) -> None:
    log_evaluation(evaluated)
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{run_of(evaluated).run_id}/evaluation"))
    assert {file.name for file in folder.iterdir()} == TABLES


@pytest.mark.parametrize("evaluated", ["classification", "labeling"], indirect=True)
def test_tables_and_the_picture_are_artifacts(evaluated: Path) -> None:
    log_evaluation(evaluated)
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{run_of(evaluated).run_id}/evaluation"))
    assert {file.name for file in folder.iterdir()} == {*TABLES, "confusion.png"}
    for name in TABLES:
        assert (folder / name).read_bytes() == (evaluated / name).read_bytes()
    picture = matplotlib.image.imread(folder / "confusion.png")  # (height, width, 4)
    assert min(picture.shape[:2]) > 200
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 10  # not blank


@pytest.mark.parametrize("evaluated", ["classification"], indirect=True)
def test_labels_that_look_like_something_else_are_drawn_as_they_are(
    evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["NA", "1"]
    confusion = pd.DataFrame([[3, 1], [0, 2]], index=pd.Index(names, name="gold"), columns=names)
    confusion.to_csv(evaluated / "confusion.csv")
    drawn = []
    monkeypatch.setattr(evaluations, "confusion_figure", lambda table: drawn.append(table) or confusion_figure(table))
    log_evaluation(evaluated)
    pd.testing.assert_frame_equal(drawn[0], confusion)


@pytest.mark.parametrize("evaluated", ["classification"], indirect=True)
def test_what_is_there_already_is_not_logged_again(evaluated: Path) -> None:
    assert log_evaluation(evaluated) == ["evaluation"]
    assert log_evaluation(evaluated) == []
    assert len(run_of(evaluated).client.get_metric_history(run_of(evaluated).run_id, "test/accuracy")) == 1


@pytest.mark.parametrize("evaluated", ["classification"], indirect=True)
def test_a_file_that_is_missing_is_logged_and_no_score_again(evaluated: Path) -> None:
    log_evaluation(evaluated)
    run = run_of(evaluated)
    Path(run.client.get_run(run.run_id).info.artifact_uri.removeprefix("file://"), "evaluation/confusion.png").unlink()
    assert log_evaluation(evaluated) == ["evaluation"]
    assert log_evaluation(evaluated) == []
    assert len(run.client.get_metric_history(run.run_id, "test/accuracy")) == 1


@pytest.mark.parametrize("evaluated", ["classification"], indirect=True)
def test_another_score_is_logged_beside_the_first(evaluated: Path) -> None:
    log_evaluation(evaluated)
    write_json(evaluated / "metrics.json", read_json(evaluated / "metrics.json") | {"test/accuracy": 0.125})
    assert log_evaluation(evaluated) == ["evaluation"]
    run = run_of(evaluated)
    assert run.client.get_run(run.run_id).data.metrics["test/accuracy"] == 0.125
    assert len(run.client.get_metric_history(run.run_id, "test/loss")) == 1


def test_predictions_that_are_missing_are_named_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient("http://me:secret@127.0.0.1:9")
    monkeypatch.setattr(client, "list_artifacts", lambda *_: [])
    with pytest.raises(ValueError, match=r"run abc has no predictions .* http://me:\*\*\*@127") as error:
        logged_predictions(client, "abc")
    assert "secret" not in str(error.value)
