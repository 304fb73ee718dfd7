"""One MLflow run a training: opened before it, found again after it."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException

from unroll.exceptions import Pruned, StoreError, without_password
from unroll.files import read_json, write_json
from unroll.tracking.offline import UPLOAD, requiring, tolerating
from unroll.tracking.provenance import FOLDER, Origin
from unroll.tracking.store import open_experiment, open_store

ORIGINAL_ID = "original_run_id"  # the tag of a run that stands for one of another store: the id that it had there
METRICS_A_REQUEST = 1000


@dataclass(frozen=True)
class TrackedRun:
    """A run that is open for writing."""

    client: MlflowClient
    run_id: str

    def log_metrics(self, metrics: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self.log_points([Metric(key, value, now, 0) for key, value in metrics.items()])

    def log_points(self, points: list[Metric]) -> None:
        for first in range(0, len(points), METRICS_A_REQUEST):
            self.client.log_batch(self.run_id, metrics=points[first : first + METRICS_A_REQUEST])


@contextmanager
def training_run(origin: Origin, record: Path) -> Iterator[TrackedRun]:
    """Open the run of a training, and end it as FAILED where that breaks off, or as KILLED on Ctrl-C or by its sweep.

    Where it ends well there are results, and `unroll.tracking.upload` finishes the run with them. `record` keeps the
    run's id, so that a training that was killed goes on in the run it began.

    Raises:
        ValueError: the store cannot be used.
    """
    client = open_store()
    with requiring():
        run_id = _interrupted_run(client, record) or _begin_run(client, origin)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, {"run_id": run_id})
    try:
        with requiring():
            _bring_up_to_date(client, run_id, origin)
        yield TrackedRun(client, run_id)
    except BaseException as error:
        with tolerating(f"the end of run {run_id}"):
            client.set_terminated(run_id, "KILLED" if isinstance(error, KeyboardInterrupt | Pruned) else "FAILED")
        raise


def create_run(client: MlflowClient, origin: Origin, original_id: str | None = None) -> str:
    """A new run that says what it is made from; its id.

    Args:
        original_id: of the run in another store whose place it takes.
    """
    run_id = _begin_run(client, origin, {ORIGINAL_ID: original_id} if original_id else {})
    describe_run(client, run_id, origin)
    return run_id


def describe_run(client: MlflowClient, run_id: str, origin: Origin) -> None:
    """Log the data as an input, every leaf of the configuration as a parameter, and last all of it as artifacts."""
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in flatten(origin.config).items()])
    revision = origin.tags.get("dataset.revision")
    entity = Dataset(
        name=origin.dataset,
        digest=origin.tags["dataset.checksum"][:12],
        source_type="hub" if revision else "local",
        source=str({"path": origin.tags["dataset.path"], "revision": revision}),
    )
    client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])
    _log_origin(client, run_id, origin)


def find_run(run_id: str) -> TrackedRun:
    """The run of a training that is over: that with this id, or the one that was created in its place.

    Raises:
        StoreError: this tracking store has neither, or it was deleted there.
    """
    client = open_store()
    return TrackedRun(client, get_run(client, run_id).info.run_id)


def get_run(client: MlflowClient, run_id: str) -> Run:
    """The same run, with all that is logged to it."""
    run = look_up(client, run_id)
    if run is None:
        raise StoreError(
            f"the MLflow store at {without_password(client.tracking_uri)} has no run {run_id}: bring it there with "
            f"{UPLOAD}, or set MLFLOW_TRACKING_URI to the store that has it"
        )
    if run.info.lifecycle_stage == "deleted":
        raise StoreError(f"run {run_id} is deleted; mlflow runs restore --run-id {run.info.run_id} brings it back")
    return run


def look_up(client: MlflowClient, run_id: str) -> Run | None:
    """The same where it may be missing, or deleted."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":  # no id at all
            return None
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.{ORIGINAL_ID} = '{run_id}'", max_results=1)
    return found[0] if found else None


def _begin_run(client: MlflowClient, origin: Origin, tags: dict[str, str] | None = None) -> str:
    experiment = open_experiment(client, origin.dataset)
    run_id: str = client.create_run(experiment, run_name=origin.name, tags=origin.tags | (tags or {})).info.run_id
    return run_id


def _interrupted_run(client: MlflowClient, record: Path) -> str | None:
    """The run that the training began, going on again; None where this store does not have it any more."""
    run = look_up(client, read_json(record)["run_id"]) if record.exists() else None
    if run is None or run.info.lifecycle_stage == "deleted":
        return None
    run_id: str = run.info.run_id
    client.update_run(run_id, status="RUNNING")
    return run_id


def _bring_up_to_date(client: MlflowClient, run_id: str, origin: Origin) -> None:
    """Let a run say what it is made from: a new one, one whose creation broke off, or one with other code now."""
    tags = client.get_run(run_id).data.tags
    new = {key: value for key, value in origin.tags.items() if tags.get(key) != value}
    for key, value in new.items():
        client.set_tag(run_id, key, value)
    if not client.list_artifacts(run_id, FOLDER):
        describe_run(client, run_id, origin)
    elif new:
        _log_origin(client, run_id, origin)


def _log_origin(client: MlflowClient, run_id: str, origin: Origin) -> None:
    with tempfile.TemporaryDirectory() as work:
        origin.save(Path(work) / FOLDER)
        client.log_artifacts(run_id, work)


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries to dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
