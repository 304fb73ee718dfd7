"""The MLflow run of a whole sweep: the parent of its trainings."""

import tempfile
from pathlib import Path

from matplotlib.figure import Figure
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE
from omegaconf import DictConfig

from unroll.tracking.git import git_tags
from unroll.tracking.store import open_experiment, open_store


def open_parent(experiment: str, name: str, space: dict[str, str]) -> str:
    """Begin the run of a sweep; return its id.

    Args:
        experiment: the dataset's, in which the children are.
        space: key to what is swept over.

    Raises:
        ValueError: the store cannot be used.
    """
    client = open_store()
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": "pipelines/train.py", "kind": "sweep", **git_tags()}
    run = client.create_run(open_experiment(client, experiment), run_name=name, tags=tags)
    run_id: str = run.info.run_id
    client.log_batch(run_id, params=[Param(f"sweep.{key}", values) for key, values in space.items()])
    return run_id


def sweep_tags(hydra_config: DictConfig) -> dict[str, str]:
    """The tags of a job's run: its parent, and its trial where it is one; none for a single run."""
    parent, trial = hydra_config.callbacks.parent.run_id, hydra_config.sweeper.get("trial")
    tags = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
    if trial is not None:
        tags |= {"study": hydra_config.sweeper.study, "trial": str(trial)}
    return tags


def reopen_parent(run_id: str) -> bool:
    """Go on with the run of a sweep; False if this store does not have it."""
    try:
        open_store().update_run(run_id, status="RUNNING")
    except MlflowException:
        return False
    return True


def delete_parent(run_id: str) -> None:
    """Forget the run of a sweep that has come to nothing."""
    open_store().delete_run(run_id)


def close_parent(
    run_id: str, status: str, metrics: dict[str, float], note: str, figures: dict[str, Figure], files: list[Path]
) -> None:
    """End the run with what the sweep found: `note` is shown as the run's description, in Markdown."""
    client = open_store()
    client.log_batch(run_id, metrics=[Metric(key, value, 0, 0) for key, value in metrics.items()])
    client.set_tag(run_id, MLFLOW_RUN_NOTE, note)
    with tempfile.TemporaryDirectory() as work:
        for name, figure in figures.items():
            picture = Path(work) / f"{name}.png"
            figure.savefig(picture, dpi=150)
            client.log_artifact(run_id, str(picture), "sweep")
    for file in files:
        client.log_artifact(run_id, str(file), "sweep")
    client.set_terminated(run_id, status)
