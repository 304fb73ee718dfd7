"""An evaluation's figures, added to the MLflow run of its training."""

import tempfile
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from unroll.evaluation.figures import confusion_figure
from unroll.evaluation.runs import read_confusion
from unroll.exceptions import without_password
from unroll.files import read_json
from unroll.tracking.offline import UPLOAD
from unroll.tracking.runs import find_run

FOLDER = "evaluation"  # among the run's artifacts
TABLES = ["classes.csv", "confusion.csv", "history.csv", "predictions.parquet"]
PICTURE = "confusion.png"
PREDICTIONS = f"{FOLDER}/predictions.parquet"


def log_evaluation(folder: Path) -> list[str]:
    """Add test metrics, speed, the tables that the run folder `folder` holds, and the confusion picture.

    Multilabel has no such picture: no label is taken for another. Nothing is done where the run has all of it;
    returns what it lacked, in words.

    Raises:
        ValueError: the training's run is not in this tracking store; the files stay where they are.
    """
    record = read_json(folder / "run.json")
    run = find_run(record["run_id"])
    speed = {"tokens_per_second": read_json(folder / "throughput.json")["tokens_per_second"]}
    metrics = {**read_json(folder / "metrics.json"), **speed}
    files = TABLES if record["task"] == "multilabel" else [*TABLES, PICTURE]
    logged = run.client.get_run(run.run_id).data.metrics
    present = {Path(file.path).name for file in run.client.list_artifacts(run.run_id, FOLDER)}
    if metrics.items() <= logged.items() and set(files) <= present:
        return []
    run.log_metrics({name: value for name, value in metrics.items() if logged.get(name) != value})
    with tempfile.TemporaryDirectory() as work:
        for name in files:
            file = folder / name
            if name == PICTURE:
                file = Path(work) / name
                confusion_figure(read_confusion(folder / "confusion.csv")).savefig(file, dpi=120)
            run.client.log_artifact(run.run_id, str(file), FOLDER)
    return ["evaluation"]


def logged_predictions(client: MlflowClient, run_id: str) -> pd.DataFrame:
    """The predictions that `log_evaluation` added to a run: `row`, `label`, `predicted`, one line a test example.

    Raises:
        ValueError: the run has none.
    """
    if PREDICTIONS not in {file.path for file in client.list_artifacts(run_id, FOLDER)}:
        raise ValueError(
            f"run {run_id} has no predictions in the MLflow store at {without_password(client.tracking_uri)}: "
            f"evaluate it, or bring them there with {UPLOAD}"
        )
    with tempfile.TemporaryDirectory() as work:
        file = client.download_artifacts(run_id, PREDICTIONS, work)
        return pd.read_parquet(file, columns=["row", "label", "predicted"]).sort_values("row", ignore_index=True)
