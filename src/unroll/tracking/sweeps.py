"""The MLflow run of a whole sweep: the parent of its trainings."""

from mlflow.entities import Param
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import DictConfig

from unroll.tracking.git import source_tags
from unroll.tracking.offline import requiring
from unroll.tracking.runs import mlflow_name, resume_run
from unroll.tracking.store import open_experiment, open_store


def open_parent(experiment: str, name: str, space: dict[str, str], earlier: str | None = None) -> str:
    """Open the run of a sweep, or resume the `earlier` one if it is in the store; return its id.

    Args:
        experiment: name of the experiment, which is that of the trainings too.
        space: the values of each key that is varied.

    Raises:
        ValueError: the store cannot be used.
    """
    client = open_store()
    with requiring():
        if earlier is not None and (resumed := resume_run(client, earlier)):
            return resumed
        tags = {"kind": "sweep", **source_tags("train")}
        run_id = str(client.create_run(open_experiment(client, experiment), run_name=name, tags=tags).info.run_id)
        client.log_batch(run_id, params=[Param(f"sweep.{name_of(key)}", values) for key, values in space.items()])
    return run_id


def name_of(key: str) -> str:
    """A key of Hydra's override grammar as part of an MLflow name: without ``+``, and ``_`` for ``@``."""
    return mlflow_name(key.lstrip("+"))


def sweep_tags(hydra_config: DictConfig) -> dict[str, str]:
    """Tags of the run of a job: its parent and, in a study, its trial; empty for a single run."""
    parent, trial = hydra_config.callbacks.parent.run_id, hydra_config.sweeper.get("trial")
    tags = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
    if trial is not None:
        tags |= {"study": hydra_config.sweeper.study, "trial": str(trial)}
    return tags
