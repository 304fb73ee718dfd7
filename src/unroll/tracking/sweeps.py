"""The MLflow run of a whole sweep: the parent of its trainings."""

import re
from collections.abc import Iterable
from pathlib import Path

from mlflow.entities import Param
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE
from omegaconf import DictConfig

from unroll.tracking.git import git_tags
from unroll.tracking.offline import requiring
from unroll.tracking.runs import TrackedRun, look_up
from unroll.tracking.store import open_experiment, open_store


def open_parent(experiment: str, name: str, space: dict[str, str]) -> str:
    """Create the run of a sweep; return its id.

    Args:
        experiment: name of the experiment, which is that of the trainings too.
        space: the values of each key that is varied.

    Raises:
        ValueError: the store cannot be used.
    """
    client = open_store()
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": "pipelines/train.py", "kind": "sweep", **git_tags()}
    with requiring():
        run = client.create_run(open_experiment(client, experiment), run_name=name, tags=tags)
        run_id: str = run.info.run_id
        client.log_batch(run_id, params=[Param(f"sweep.{name_of(key)}", values) for key, values in space.items()])
    return run_id


def name_of(key: str) -> str:
    """A key of Hydra's override grammar as part of an MLflow name: without ``+``, and ``_`` for ``@``."""
    return re.sub(r"[^\w./: -]", "_", key.lstrip("+"))


def sweep_tags(hydra_config: DictConfig) -> dict[str, str]:
    """Tags of the run of a job: its parent and, in a study, its trial; empty for a single run."""
    parent, trial = hydra_config.callbacks.parent.run_id, hydra_config.sweeper.get("trial")
    tags = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
    if trial is not None:
        tags |= {"study": hydra_config.sweeper.study, "trial": str(trial)}
    return tags


def reopen_parent(run_id: str) -> bool:
    """Set the run of a sweep to RUNNING; return False if it is not in this store."""
    client = open_store()
    with requiring():
        run = look_up(client, run_id)
        if run is None or run.info.lifecycle_stage == "deleted":
            return False
        client.update_run(run_id, status="RUNNING")
    return True


def delete_parent(run_id: str) -> None:
    """Delete the run of a sweep that started no training."""
    open_store().delete_run(run_id)


def close_parent(run: TrackedRun, status: str, metrics: dict[str, float], note: str) -> None:
    """Log the results of a sweep and end its run, unless `status` is ``RUNNING``.

    Args:
        note: description of the run, in Markdown.
    """
    run.log_metrics(metrics)
    run.client.set_tag(run.run_id, MLFLOW_RUN_NOTE, note)
    if status != "RUNNING":  # a running run must have no end time
        run.client.set_terminated(run.run_id, status)


def illustrate_parent(run: TrackedRun, metrics: dict[str, float], files: Iterable[Path]) -> None:
    """Add the results of a sweep that take longer to compute: `metrics`, and `files` as artifacts."""
    run.log_metrics(metrics)
    for file in files:
        run.client.log_artifact(run.run_id, str(file), "sweep")
