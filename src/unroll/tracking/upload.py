"""Brings to MLflow what it lacks of a run folder: all that it lacks, and nothing twice."""

import csv
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from unroll.files import read_json
from unroll.locks import is_run_locked
from unroll.tracking.evaluations import log_evaluation
from unroll.tracking.models import find_model, log_model
from unroll.tracking.provenance import FOLDER, Origin
from unroll.tracking.runs import TrackedRun, create_run, describe_run, get_run, look_up
from unroll.tracking.store import open_store


def upload(folder: Path) -> list[str]:
    """Complete and finish the MLflow run of the training in `folder`; return what it lacked, in words.

    A run that the store does not have is created there. It cannot have the same id, and the folder does not change:
    a tag of the new run names the id that the folder has.

    Raises:
        ValueError: the store cannot be used, the run was deleted there, or `folder` is not whole.
    """
    client = open_store()
    record = read_json(folder / "run.json")
    lacked = _ensure_run(client, folder, record["run_id"])
    tracked = get_run(client, record["run_id"])
    run = TrackedRun(client, tracked.info.run_id)
    lacked += _log_epochs(run, folder, tracked.info.start_time)
    lacked += _log_figures(run, record, tracked)
    if find_model(client, run.run_id) is None:
        log_model(run, folder / "model")
        lacked.append("model")
    if (folder / "metrics.json").exists():
        lacked += log_evaluation(folder)
    if tracked.info.status != "FINISHED":
        end = int((folder / "run.json").stat().st_mtime * 1000)
        client.set_terminated(run.run_id, "FINISHED", max(end, tracked.info.start_time))
        lacked.append("end")
    return lacked


def run_folders(*roots: Path) -> list[Path]:
    """Those of finished trainings, at any depth."""
    records = [record for root in roots for record in sorted(root.glob("**/run.json"))]
    return [record.parent for record in records if record.parent.name != "checkpoints" and not _is_overtaken(record)]


def _is_overtaken(record: Path) -> bool:
    """Whether a training is under way in the record's folder, or another broke off there: its files are of two runs."""
    other = record.parent / "checkpoints" / "run.json"
    if is_run_locked(record.parent):
        return True
    return other.exists() and read_json(other)["run_id"] != read_json(record)["run_id"]


def _ensure_run(client: MlflowClient, folder: Path, run_id: str) -> list[str]:
    saved = folder / FOLDER
    if not saved.is_dir():
        raise ValueError(f"{saved}, which says what {folder} was trained with, is missing: train it again")
    run = look_up(client, run_id)
    if run is None:
        create_run(client, Origin.load(saved), original_id=run_id)
        return ["run"]
    if run.info.lifecycle_stage != "deleted" and not client.list_artifacts(run.info.run_id, FOLDER):
        describe_run(client, run.info.run_id, Origin.load(saved))  # creating it broke off
        return ["what it was trained with"]
    return []


def _log_epochs(run: TrackedRun, folder: Path, start: int) -> list[str]:
    """The rows of history.csv that the run does not have."""
    if not (folder / "history.csv").exists():
        return []  # a model that has no epochs
    with (folder / "history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [name for name in rows[0] if "/" in name]
    logged = {name: {it.step for it in run.client.get_metric_history(run.run_id, name)} for name in names}
    points = [
        Metric(name, float(row[name]), start + int(float(row["seconds"]) * 1000), int(row["epoch"]))
        for row in rows
        for name in names
        if int(row["epoch"]) not in logged[name]
    ]
    run.log_points(points)
    epochs = {point.step for point in points}
    return [f"{len(epochs)} of {len(rows)} epochs"] if epochs else []


def _log_figures(run: TrackedRun, record: dict[str, Any], tracked: Run) -> list[str]:
    """The numbers of run.json: best score, training time and so on."""
    figures = {key: value for key, value in record.items() if type(value) in (int, float) and key != "seed"}
    new = {key: value for key, value in figures.items() if key not in tracked.data.metrics}
    run.log_metrics(new)
    return ["figures"] if new else []
