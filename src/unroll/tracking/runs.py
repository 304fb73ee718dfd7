"""The MLflow run of a training: created before it, and found by its id afterwards."""

import posixpath
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

from unroll.exceptions import Pruned, StoreError, without_password
from unroll.files import read_json, write_json
from unroll.tracking.offline import UPLOAD, requiring, tolerating
from unroll.tracking.provenance import PROVENANCE, Provenance
from unroll.tracking.store import deleted_experiment, mlflow_command, open_experiment, open_store

ORIGINAL_ID = "original_run_id"  # tag of a run that replaces one of another store: the id of that run


@dataclass(frozen=True)
class TrackedRun:
    """A run, and the client that writes to it."""

    client: MlflowClient
    run_id: str

    def log_metrics(self, metrics: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(key, value, now, 0) for key, value in metrics.items()])


@contextmanager
def training_run(provenance: Provenance, record: Path) -> Iterator[TrackedRun]:
    """Open the MLflow run of a training; an error ends the run as FAILED, an interruption or pruning as KILLED.

    A training without an error leaves the run open: `unroll.tracking.upload` adds the results and ends it. The file
    `record` keeps its id, so that an interrupted training is resumed in the same run.

    Raises:
        ValueError: the store cannot be used.
    """
    client = open_store()
    with requiring():
        run_id = resume_run(client, read_json(record, ["run_id"])["run_id"]) if record.exists() else None
        run_id = run_id or _start_run(client, provenance)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, {"run_id": run_id})
    try:
        with requiring():
            _update(client, run_id, provenance)
        yield TrackedRun(client, run_id)
    except BaseException as error:
        with tolerating(f"the end of run {run_id}"):
            client.set_terminated(run_id, "KILLED" if isinstance(error, KeyboardInterrupt | Pruned) else "FAILED")
        raise


def create_run(client: MlflowClient, provenance: Provenance, original_id: str | None = None) -> str:
    """Create a run with its provenance, perhaps to replace that with `original_id` in another store; return its id."""
    run_id = _start_run(client, provenance, original_id)
    describe_run(client, run_id, provenance)
    return run_id


def describe_run(client: MlflowClient, run_id: str, provenance: Provenance) -> None:
    """Log the provenance of a run: the data as an input, each configuration value as a parameter, all as artifacts."""
    params = {mlflow_name(key): str(it)[:MAX_PARAM_VAL_LENGTH] for key, it in flatten(provenance.config).items()}
    client.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])
    revision = provenance.tags.get("dataset.revision")
    source = str({"path": provenance.tags["dataset.path"], "revision": revision})
    digest, kind = provenance.tags["dataset.checksum"][:12], "hub" if revision else "local"
    entity = Dataset(provenance.dataset, digest, source_type=kind, source=source)
    client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])
    _log_provenance(client, run_id, provenance)


def get_run(client: MlflowClient, run_id: str) -> Run:
    """The run with this id, or the one that replaces it; raises StoreError if there is none or it is deleted."""
    run = look_up(client, run_id)
    if run is None:
        raise StoreError(
            f"run {run_id} is not in the MLflow store at {without_password(client.tracking_uri)}: upload it with "
            f"{UPLOAD}, or set MLFLOW_TRACKING_URI to the store that contains it"
        )
    if error := deletion(client, run):
        raise error
    return run


def deletion(client: MlflowClient, run: Run) -> StoreError | None:
    """The error that says how to restore a run; None if neither the run nor its experiment is deleted."""
    experiment = client.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage == "deleted":  # its runs cannot be completed, even if they are restored
        return deleted_experiment(client, experiment)
    if run.info.lifecycle_stage == "active":
        return None
    command = mlflow_command(client, f"runs restore --run-id {run.info.run_id}")
    return StoreError(f"run {run.info.run_id} is deleted; to restore it: {command}")


def look_up(client: MlflowClient, run_id: str) -> Run | None:
    """The same as :func:`get_run`, but None for a missing run; a deleted one is returned."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":  # not of the form of an id
            return None
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiments = [it.experiment_id for it in client.search_experiments(view_type=ViewType.ALL)]
    found = client.search_runs(experiments, f"tags.{ORIGINAL_ID} = '{run_id}'", ViewType.ALL)
    return min(found, key=lambda run: run.info.lifecycle_stage != "active", default=None)


def resume_run(client: MlflowClient, run_id: str) -> str | None:
    """Set a run to RUNNING again and return its id in this store; None if the store does not have it, or deleted it."""
    run = look_up(client, run_id)
    if run is None or deletion(client, run):
        return None
    client.update_run(run.info.run_id, status="RUNNING")
    return str(run.info.run_id)


def _start_run(client: MlflowClient, provenance: Provenance, original_id: str | None = None) -> str:
    tags = provenance.tags | ({ORIGINAL_ID: original_id} if original_id else {})
    run = client.create_run(open_experiment(client, provenance.dataset), run_name=provenance.name, tags=tags)
    return str(run.info.run_id)


def _update(client: MlflowClient, run_id: str, provenance: Provenance) -> None:
    """Log the provenance of a run that is new, whose creation was interrupted, or that is resumed with other code."""
    new = provenance.tags.items() - client.get_run(run_id).data.tags.items()
    for key, value in new:
        client.set_tag(run_id, key, value)
    if not client.list_artifacts(run_id, PROVENANCE):
        describe_run(client, run_id, provenance)
    elif new:
        _log_provenance(client, run_id, provenance)


def _log_provenance(client: MlflowClient, run_id: str, provenance: Provenance) -> None:
    with tempfile.TemporaryDirectory() as work:
        provenance.save(Path(work) / PROVENANCE)
        client.log_artifacts(run_id, work)


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Convert nested dictionaries to one dictionary with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def mlflow_name(key: str) -> str:
    """A key, which may contain the name of a file, as the name of a parameter or metric of MLflow, or as its end."""
    return posixpath.normpath(re.sub(r"[^\w./: -]", "_", key))[:200]
