"""Hydra multiruns without a study: one parent run in MLflow, a record of each job, and a summary at the end."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from unroll.exceptions import clear_errors
from unroll.files import read_json, write_json

if TYPE_CHECKING:  # every command imports this module, and Optuna is slow to import
    from optuna import Study

at_end = ExitStack()  # callbacks that run when the command ends, also after an error

RECORD = "job.json"
SEVERAL_DATASETS = "sweeps"  # the MLflow experiment of a sweep over datasets


@dataclass(frozen=True)
class Job:
    """The record of a job, in its folder.

    Args:
        number: from 0.
        overrides: the task's, in Hydra's grammar.
        value: what the job returned, if it succeeded.
        error: the message, if it failed.
        parent: the id of the sweep's MLflow run.
    """

    number: int
    overrides: list[str]
    value: Any = None
    error: str | None = None
    parent: str | None = None


@dataclass(frozen=True)
class Multirun:
    """A multirun of this process.

    Args:
        name: the sweep's overrides.
        run_id: of its MLflow run.
        folder: the jobs' folders are in it.
        swept: key to its values, in the override grammar.
        objectives: the names of the values that a job returns.
    """

    name: str
    run_id: str
    folder: Path
    swept: dict[str, list[str]]
    objectives: list[str]


class ParentRun(Callback):
    """Hydra callback that opens the MLflow run of a multirun, unless it is a study, whose sweeper opens the run itself.

    Args:
        run_id: in a job's configuration, the parent of its MLflow run.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with clear_errors():  # Hydra turns an error of a callback into a warning
            if config.get("sweep") is not None:
                file = f"conf/sweep/{config.hydra.runtime.choices.sweep}.yaml"
                raise ValueError(
                    f"{file} sets sweep={list(config.sweep)}; accepted: a file whose first line is # @package _global_"
                )
            if "study" not in config.hydra.sweeper:
                multirun = begin_multirun(config)
                at_end.push(lambda kind, error, trace: end_multirun(multirun, isinstance(error, KeyboardInterrupt)))
            if "joblib" in config.hydra.launcher._target_:
                at_end.callback(stop_idle_workers)


def begin_multirun(config: DictConfig) -> Multirun:
    """Open the multirun's MLflow run, and make it the parent of every job's run."""
    from unroll.tracking.sweeps import open_parent

    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    swept = {
        override.get_key_element(): list(override.sweep_string_iterator())
        for override in parser.parse_overrides([*params, *config.hydra.overrides.task])
        if override.is_discrete_sweep()
    }
    space = {key: ",".join(values) for key, values in swept.items()}
    name = " ".join(f"{key}={values}" for key, values in space.items()) or "sweep"
    folder, objectives = Path(config.hydra.sweep.dir), list(config.get("objectives", ["value"]))
    run_id = open_parent(experiment_of(config, swept), name[:250], space)
    set_parent(config, run_id)
    return Multirun(name, run_id, folder, swept, objectives)


def experiment_of(config: DictConfig, swept: Iterable[str]) -> str:
    """The MLflow experiment of a sweep: its dataset, or `SEVERAL_DATASETS` if `dataset` is one of the swept keys."""
    if "dataset" in swept:
        return SEVERAL_DATASETS
    given = [text.partition("=")[2] for text in config.hydra.overrides.task if text.startswith("dataset=")]
    experiment: str = given[-1] if given else config.hydra.runtime.choices.get("dataset", config.hydra.job.name)
    return experiment


def set_parent(config: DictConfig, run_id: str) -> None:
    """Pass the parent run's id to every job, as an override, which every launcher applies."""
    config.hydra.overrides.hydra.append(f"hydra.callbacks.parent.run_id={run_id}")


def end_multirun(multirun: Multirun, is_interrupted: bool) -> None:
    """Print the summary and end the MLflow run; delete the run if no job has ended."""
    from unroll.sweep.summary import end_sweep
    from unroll.tracking.offline import UPLOAD, tolerating
    from unroll.tracking.sweeps import delete_parent

    jobs = read_jobs(multirun.folder, multirun.run_id)
    if jobs or is_interrupted:
        study, later = study_of_jobs(multirun, jobs), f"{UPLOAD}, for its trainings"
        end_sweep(study, multirun.run_id, [], later, is_interrupted=is_interrupted)
    else:  # a mistake in the command, found before the first job
        with tolerating("the deletion of the empty sweep"):
            delete_parent(multirun.run_id)


def write_job(folder: Path, job: Job) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, asdict(job))


def read_jobs(folder: Path, parent: str) -> list[Job]:
    """The ended jobs of the sweep with the MLflow run `parent`, by number; `folder` may contain other sweeps' jobs."""
    jobs = [Job(**read_json(file)) for file in folder.rglob(RECORD)]
    return sorted((job for job in jobs if job.parent == parent), key=lambda job: job.number)


def study_of_jobs(multirun: Multirun, jobs: Sequence[Job]) -> "Study":
    """An Optuna study in memory with one trial per job, so that a grid is summarised like a study."""
    from optuna import create_study, create_trial, logging
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState

    from unroll.sweep.objectives import directions_of
    from unroll.sweep.studies import ERROR, OBJECTIVES, OVERRIDES

    logging.set_verbosity(logging.WARNING)
    study = create_study(study_name=multirun.name, directions=directions_of(multirun.objectives))
    study.set_user_attr(OBJECTIVES, multirun.objectives)
    distributions = {key: CategoricalDistribution(choices) for key, choices in multirun.swept.items()}
    for job in jobs:
        values = job.value if isinstance(job.value, list) else [job.value]
        given = dict(override.partition("=")[::2] for override in job.overrides)
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if job.error else TrialState.COMPLETE,
                params={key: given[key] for key in distributions if key in given},
                distributions={key: one for key, one in distributions.items() if key in given},
                values=None if job.error else values,
                user_attrs={OVERRIDES: job.overrides} | ({ERROR: job.error} if job.error else {}),
            )
        )
    return study


def stop_idle_workers() -> None:
    """End joblib's idle processes, for which the command would otherwise wait ten seconds when it ends."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(kill_workers=True)
