"""Uploads the parts of a run folder that are missing from MLflow; nothing is logged twice."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric

from unroll.evaluation.figures import confusion_figure
from unroll.evaluation.runs import read_confusion
from unroll.exceptions import StoreUnavailable, without_password
from unroll.files import read_json, reading, sha256
from unroll.locks import is_run_locked
from unroll.run_folder import RunFolder
from unroll.tracking.models import find_model, log_model
from unroll.tracking.offline import UPLOAD, requiring
from unroll.tracking.pictures import log_pictures
from unroll.tracking.provenance import PROVENANCE, Provenance
from unroll.tracking.runs import TrackedRun, create_run, deletion, describe_run, get_run, look_up
from unroll.tracking.store import open_store

EVALUATION = "evaluation"  # folder among the artifacts of a run
PICTURE = "confusion.png"
STAMP = "evaluated.json"
DEVICE, EVALUATED_ON = "device", "evaluated_on"  # tags: where it was trained, and where it was scored
PREDICTIONS = f"{EVALUATION}/predictions.parquet"


def upload_all(roots: Sequence[Path]) -> None:
    """Upload every finished training in `roots`; print what was missing, and the trainings that failed.

    Raises:
        ValueError: there is no finished training, or one could not be uploaded.
        StoreUnavailable: the store cannot be used.
    """
    folders = run_folders(*roots)
    if not folders:
        raise ValueError(
            f"folder={' and '.join(map(str, roots))}: no finished training; accepted: a folder that contains one"
        )
    open_store()  # fails here, not once per run, if the address is wrong
    uploaded = failed = 0
    for folder in folders:
        try:
            with requiring():
                missing = upload(folder)
        except StoreUnavailable:
            raise
        except ValueError as error:
            failed += 1
            print(f"{folder}: not uploaded: {error}", flush=True)
        else:
            uploaded += bool(missing)
            if missing:
                print(f"{folder}: uploaded {', '.join(missing)}", flush=True)
    if failed:
        raise ValueError(f"{failed} of {len(folders)} runs were not uploaded, for the reasons above")
    if not uploaded:
        print(f"nothing is missing: MLflow has all of {len(folders)} runs")


def run_folders(*roots: Path) -> list[Path]:
    """The folders of finished trainings in `roots`, at any depth, without those in which another one has begun."""
    folders = [record.parent for root in roots for record in sorted(root.glob("**/run.json"))]
    return [it for it in folders if not {"checkpoints", ".kept"} & set(it.parts) and not _is_retrained(RunFolder(it))]


def _is_retrained(folder: RunFolder) -> bool:
    """Whether a training is running in the folder or was interrupted, so that the files belong to two runs."""
    later = folder.checkpoints / "run.json"
    if is_run_locked(folder.path):
        return True
    try:
        read = partial(read_json, keys=["run_id"])
        return later.exists() and read(later)["run_id"] != folder.read(folder.record.name, read)["run_id"]
    except ValueError:  # a damaged file; if it is that of this training, `upload` names it
        return later.exists()


def upload(path: Path) -> list[str]:
    """Complete and end the MLflow run of the training in the run folder `path`; return what was missing, as text.

    A run that is not in the store is created, with a new id and a tag with the id in the folder, which does not change.

    Raises:
        ValueError: the store cannot be used, the run is deleted, or the run folder is incomplete.
    """
    client, folder = open_store(), RunFolder(path)
    record = folder.read_record()
    missing = _ensure_run(client, folder, record.run_id)
    logged = get_run(client, record.run_id)
    run = TrackedRun(client, logged.info.run_id)
    if folder.history.exists():  # a model without epochs has none
        missing += _log_epochs(run, folder, logged.info.start_time)
    figures = {key: value for key, value in record.figures.items() if key not in logged.data.metrics}
    is_placed = record.device in (None, logged.data.tags.get(DEVICE))
    if figures:
        run.log_metrics(figures)
    if not is_placed:
        client.set_tag(run.run_id, DEVICE, record.device)
    if figures or not is_placed:
        missing.append("figures")
    if find_model(client, run.run_id) is None:
        log_model(run, folder.model)
        missing.append("model")
    if folder.metrics.exists():
        missing += log_evaluation(run, folder)
        missing += log_pictures(run, folder)
    if logged.info.status != "FINISHED":
        end = int(folder.record.stat().st_mtime * 1000)
        client.set_terminated(run.run_id, "FINISHED", max(end, logged.info.start_time))
        missing.append("end")
    return missing


def _ensure_run(client: MlflowClient, folder: RunFolder, run_id: str) -> list[str]:
    if not folder.provenance.is_dir():
        raise ValueError(f"{folder.provenance}, the provenance of the training in {folder.path}, is missing: retrain")
    run, provenance = look_up(client, run_id), Provenance.load(folder.provenance)
    if run is None:
        create_run(client, provenance, original_id=run_id)
        return ["run"]
    if error := deletion(client, run):
        raise error
    tags = {key: value for key, value in provenance.tags.items() if key not in run.data.tags}
    for key, value in tags.items():
        client.set_tag(run.info.run_id, key, value)
    missing = ["tags"] if tags else []
    present = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, PROVENANCE)}
    if not {file.name for file in folder.provenance.iterdir()} <= present:  # deleted, or its creation was interrupted
        describe_run(client, run.info.run_id, provenance)
        missing.append("provenance")
    return missing


def _log_epochs(run: TrackedRun, folder: RunFolder, start: int) -> list[str]:
    history = folder.read(folder.history.name, lambda path: pd.read_csv(path, float_precision="round_trip"))
    names = history.filter(like="/").columns
    logged = {name: {it.step for it in run.client.get_metric_history(run.run_id, name)} for name in names}
    points = [
        Metric(name, float(row[name]), start + int(row["seconds"] * 1000), int(row["epoch"]))
        for row in history.to_dict("records")
        for name in names
        if row["epoch"] not in logged[name]
    ]
    run.client.log_batch(run.run_id, metrics=points)
    epochs = {point.step for point in points}
    return [f"{len(epochs)} of {len(history)} epochs"] if epochs else []


def log_evaluation(run: TrackedRun, folder: RunFolder) -> list[str]:
    """Add the test metrics, the speed, the tables and the confusion picture to the run; return what was missing.

    A multilabel task has no confusion picture, because its labels are predicted independently.
    """
    throughput = folder.read(folder.throughput.name, partial(read_json, keys=["tokens_per_second"]))
    metrics = {**folder.read(folder.metrics.name, read_json), "tokens_per_second": throughput["tokens_per_second"]}
    stamp = path if (path := folder.path / STAMP).exists() else None  # the checksums of the tables
    tables = [folder.classes, folder.confusion, folder.history, folder.predictions, *([stamp] if stamp else [])]
    files = {table.name for table in tables} | ({PICTURE} if folder.read_record().task != "multilabel" else set())
    logged = run.client.get_run(run.run_id).data.metrics
    present = {Path(file.path).name for file in run.client.list_artifacts(run.run_id, EVALUATION)}
    if metrics.items() <= logged.items() and files <= present:
        return []
    for table in tables:
        folder.read(table.name, Path.stat)  # its checksum
        run.client.log_artifact(run.run_id, str(table), EVALUATION)
    if PICTURE in files:
        with tempfile.TemporaryDirectory() as work:
            confusion_figure(read_confusion(folder.confusion)).savefig(f"{work}/{PICTURE}", dpi=120)
            run.client.log_artifact(run.run_id, f"{work}/{PICTURE}", EVALUATION)
    if "device" in throughput:
        run.client.set_tag(run.run_id, EVALUATED_ON, throughput["device"])
    # last, because a killed upload is repeated if they are missing
    run.log_metrics({name: value for name, value in metrics.items() if logged.get(name) != value})
    return ["evaluation"]


def logged_predictions(client: MlflowClient, run_id: str) -> pd.DataFrame:
    """The columns `row`, `label` and `predicted` of the predictions of a run; raises ValueError if it has none."""
    present = {file.path for file in client.list_artifacts(run_id, EVALUATION)}
    if PREDICTIONS not in present:
        raise ValueError(
            f"run {run_id} has no predictions in the MLflow store at {without_password(client.tracking_uri)}: "
            f"evaluate it, or upload them with {UPLOAD}"
        )
    with tempfile.TemporaryDirectory() as work:
        stamp = f"{EVALUATION}/{STAMP}"
        found = {
            name: Path(client.download_artifacts(run_id, name, work))
            for name in (PREDICTIONS, stamp)
            if name in present
        }
        file = found[PREDICTIONS]
        with reading(Path(f"runs:/{run_id}/{PREDICTIONS}"), f"delete it in MLflow, and upload it with {UPLOAD}"):
            if stamp in found and read_json(found[stamp], ["sha256"])["sha256"].get(file.name) != sha256(file):
                raise ValueError(f"its checksum is not that in {STAMP}")
            predictions = pd.read_parquet(file, columns=["row", "label", "predicted"])
        return predictions.sort_values("row", ignore_index=True)
