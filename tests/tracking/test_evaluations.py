from pathlib import Path

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.data.source import Task
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.evaluation.figures import confusion_figure
from unroll.files import read_json, write_json
from unroll.tracking import evaluations
from unroll.tracking.evaluations import log_evaluation
from unroll.tracking.runs import TrackedRun, training_run
from unroll.tracking.store import open_store

TABLES = {"classes.csv", "confusion.csv", "history.csv", "predictions.parquet"}


@pytest.fixture(params=["classification", "labeling", "multilabel"])
def evaluated(request: pytest.FixtureRequest, prepared: dict[Task, PreparedData], tmp_path: Path) -> Path:
    """A run folder after the train and the evaluate stage."""
    data, folder = prepared[request.param], tmp_path / "gru" / "1"
    save_random_model(data, folder / "model")
    with training_run("evaluations", "gru-1", {}, data, folder / "checkpoints" / "run.json") as run:
        write_json(folder / "run.json", {"run_id": run.run_id, "task": data.task})
    pd.DataFrame({"epoch": [1], "val/loss": [0.5]}).to_csv(folder / "history.csv", index=False)
    evaluate(data, folder, EvaluateOptions(batch_size=8, threads=1))
    return folder


def run_of(folder: Path) -> TrackedRun:
    return TrackedRun(open_store(), read_json(folder / "run.json")["run_id"])


def test_test_metrics_and_speed_are_added_to_the_training_s_run(evaluated: Path) -> None:
    log_evaluation(evaluated)
    run = run_of(evaluated).client.get_run(run_of(evaluated).run_id)
    speed = read_json(evaluated / "throughput.json")["tokens_per_second"]
    assert run.data.metrics == read_json(evaluated / "metrics.json") | {"tokens_per_second": speed}
    assert {"test/accuracy", "test/loss"} <= set(run.data.metrics)
    assert run.info.status == "FINISHED"


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
def test_a_run_of_another_store_is_an_error_and_the_files_stay(evaluated: Path) -> None:
    write_json(evaluated / "run.json", {"run_id": "0" * 32})
    before = {file.name: file.read_bytes() for file in evaluated.iterdir() if file.is_file()}
    with pytest.raises(ValueError, match=f"has no run {'0' * 32}"):
        log_evaluation(evaluated)
    assert {file.name: file.read_bytes() for file in evaluated.iterdir() if file.is_file()} == before
