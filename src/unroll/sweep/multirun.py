"""Hydra multiruns: the MLflow run of a grid, its parent run, and a record of each job.

Every command imports this module, so it imports Optuna and MLflow only when they are used.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from unroll.conf_files import typed_overrides
from unroll.exceptions import clear_errors
from unroll.files import read_json, reading, write_json
from unroll.sweep.objectives import names_of

at_end = ExitStack()  # callbacks that run when the command ends, also after an error

RECORD = "job.json"
SEVERAL_DATASETS = "sweeps"  # the MLflow experiment of a sweep over datasets


@dataclass(frozen=True)
class Job:
    """The record of a job, in its folder."""

    number: int  # from 0
    overrides: list[str]  # the task's, in Hydra's grammar
    value: Any = None  # what the job returned, if it succeeded
    error: str | None = None  # the message, if it failed
    parent: str | None = None  # the id of the sweep's MLflow run


class ParentRun(Callback):
    """Hydra callback that opens the MLflow run of a grid; the sweeper of a study opens that run itself."""

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id  # in a job's configuration, the parent of its MLflow run

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with clear_errors():  # Hydra turns an error of a callback into a warning
            if config.get("sweep") is not None:
                file = f"conf/sweep/{config.hydra.runtime.choices.sweep}.yaml"
                raise ValueError(
                    f"{file} sets sweep={list(config.sweep)}; accepted: a file whose first line is # @package _global_"
                )
            if "study" not in config.hydra.sweeper:
                begin_grid(config)
            if "joblib" in config.hydra.launcher._target_:
                at_end.callback(stop_idle_workers)


def begin_grid(config: DictConfig) -> None:
    """Open the MLflow run of a grid, which becomes the parent of every job's run and is ended with the command."""
    from unroll.tracking.sweeps import open_parent

    objectives = names_of(config.get("objectives", ["value"]))
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    swept = {
        override.get_key_element(): list(override.sweep_string_iterator())
        for override in parser.parse_overrides([*params, *typed_overrides(config.hydra.overrides.task)])
        if override.is_discrete_sweep()
    }
    space = {key: ",".join(values) for key, values in swept.items()}
    name = " ".join(f"{key}={values}" for key, values in space.items()) or "sweep"
    run_id = open_parent(experiment_of(config, swept), name[:250], space)
    config.hydra.overrides.hydra.append(f"hydra.callbacks.parent.run_id={run_id}")  # for every job
    grid = Path(config.hydra.sweep.dir), run_id, name, objectives, swept
    at_end.push(lambda kind, error, trace: _end_grid(*grid, isinstance(error, KeyboardInterrupt)))


def experiment_of(config: DictConfig, swept: Iterable[str]) -> str:
    """The MLflow experiment of a sweep: its dataset, or `SEVERAL_DATASETS` if `dataset` is one of the swept keys."""
    if "dataset" in swept:
        return SEVERAL_DATASETS
    typed = typed_overrides(config.hydra.overrides.task)
    given = [text.partition("=")[2] for text in typed if text.startswith("dataset=")]
    return str(given[-1] if given else config.hydra.runtime.choices.get("dataset", config.hydra.job.name))


def _end_grid(
    folder: Path, run_id: str, name: str, objectives: list[str], swept: dict[str, list[str]], is_interrupted: bool
) -> None:
    """Print the summary and end the MLflow run; delete the run if no job has ended."""
    from unroll.sweep.studies import study_of_jobs
    from unroll.sweep.summary import end_sweep
    from unroll.tracking.offline import UPLOAD, tolerating
    from unroll.tracking.store import open_store

    jobs = read_jobs(folder, run_id)
    if jobs or is_interrupted:
        study = study_of_jobs(name, objectives, swept, jobs)
        end_sweep(study, run_id, [], f"{UPLOAD}, for its trainings", is_interrupted=is_interrupted)
    else:  # a mistake in the command, found before the first job
        with tolerating("the deletion of the empty sweep"):
            open_store().delete_run(run_id)


def write_job(folder: Path, job: Job) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, asdict(job))


def read_jobs(folder: Path, parent: str) -> list[Job]:
    """The ended jobs of the sweep with the MLflow run `parent`, by number; `folder` may contain other sweeps' jobs."""
    jobs = []
    for file in folder.rglob(RECORD):
        with reading(file, f"delete {file.parent} and run the job again"):
            jobs.append(Job(**read_json(file)))
    return sorted((job for job in jobs if job.parent == parent), key=lambda job: job.number)


def stop_idle_workers() -> None:
    """End joblib's idle processes, for which the command would otherwise wait ten seconds when it ends."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(kill_workers=True)
