"""One MLflow run a training: opened before it, filled by it and by its evaluation, closed whatever happens."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

from unroll.data.prepared import PreparedData
from unroll.files import read_json, write_json
from unroll.tracking import git
from unroll.tracking.store import open_experiment, open_store


@dataclass(frozen=True)
class TrackedRun:
    """A run that is open for writing."""

    client: MlflowClient
    run_id: str

    def log_metrics(self, metrics: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(k, v, now, 0) for k, v in metrics.items()])


@contextmanager
def training_run(
    dataset: str, name: str, config: dict[str, Any], data: PreparedData, record: Path
) -> Iterator[TrackedRun]:
    """Open the run of a training and end it as FINISHED, FAILED, or KILLED on Ctrl-C.

    `record` keeps the run's id, so that a training that was killed goes on in the run it began.

    Args:
        dataset: names the experiment.
        config: the resolved configuration; every leaf becomes a parameter, `model.hidden_size` and so on.
    """
    client = open_store()
    run_id = _interrupted_run(client, record) or _create_run(client, dataset, name, config, data)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, {"run_id": run_id})
    status = "FAILED"
    try:
        yield TrackedRun(client, run_id)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        client.set_terminated(run_id, status)


def find_run(run_id: str) -> TrackedRun:
    """The run of a training that is over.

    Raises:
        ValueError: this tracking store has no such run.
    """
    client = open_store()
    try:
        client.get_run(run_id)
    except MlflowException as error:
        raise ValueError(
            f"the MLflow store at {client.tracking_uri} has no run {run_id}: the model was trained against another "
            "store, or the run was deleted; train again, or set MLFLOW_TRACKING_URI to the store that has it"
        ) from error
    return TrackedRun(client, run_id)


def _interrupted_run(client: MlflowClient, record: Path) -> str | None:
    if not record.exists():
        return None
    run_id: str = read_json(record)["run_id"]
    try:
        client.update_run(run_id, status="RUNNING")
    except MlflowException:
        return None
    return run_id


def _create_run(client: MlflowClient, dataset: str, name: str, config: dict[str, Any], data: PreparedData) -> str:
    source = data.description["source"]
    revision = {"dataset.revision": source["commit"]} if source["commit"] else {}  # a folder has none
    tags = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "pipelines/train.py",
        "dataset": dataset,
        "dataset.path": source["path"],
        "dataset.checksum": data.checksum,
        "task": data.task,
        **revision,
        **git_tags(),
    }
    run = client.create_run(open_experiment(client, dataset), run_name=name, tags=tags)
    run_id: str = run.info.run_id
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in flatten(config).items()])
    entity = Dataset(
        name=dataset,
        digest=data.checksum[:12],
        source_type="hub" if source["commit"] else "local",
        source=str({"path": source["path"], "revision": source["commit"]}),
    )
    client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])
    return run_id


def git_tags() -> dict[str, str]:
    """The commit that the code stands at, and whether it was changed since; empty outside a repository."""
    try:
        return {"mlflow.source.git.commit": git.head(), "git.changed": str(bool(git.changed_files())).lower()}
    except ValueError:
        return {}


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries to dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
