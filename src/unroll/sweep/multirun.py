"""A multirun of any sweeper is one MLflow run with its jobs beneath, and ends with a word on each job that failed."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from unroll.exceptions import clear_errors

at_end = ExitStack()  # what a Hydra callback wants done when the command ends, however it ends

SEVERAL_DATASETS = "sweeps"  # the experiment of a sweep that is not of one dataset


@dataclass(frozen=True)
class Multirun:
    """A sweep that is under way in this process.

    Args:
        name: what it varies.
        run_id: of its MLflow run.
        folder: where its jobs write.
        swept: key to its values, in the override grammar.
        objectives: the names of what a job returns.
    """

    name: str
    run_id: str
    folder: Path
    swept: dict[str, list[str]]
    objectives: list[str]


class ParentRun(Callback):
    """Hydra's callback that opens the MLflow run of a multirun; a study opens its own.

    Args:
        run_id: in the configuration of a job, the run that its own is to stand beneath.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with clear_errors():  # Hydra would only warn
            if config.get("sweep") is not None:
                file = f"conf/sweep/{config.hydra.runtime.choices.sweep}.yaml"
                raise ValueError(
                    f"{file} gives {list(config.sweep)} to the key sweep: let it begin with # @package _global_"
                )
            if "study" not in config.hydra.sweeper:
                multirun = begin_multirun(config)
                at_end.push(lambda kind, error, trace: end_multirun(multirun, isinstance(error, KeyboardInterrupt)))
            if "joblib" in config.hydra.launcher._target_:
                at_end.callback(stop_idle_workers)


def begin_multirun(config: DictConfig) -> Multirun:
    """Open its MLflow run, and make it the parent of every job's."""
    from unroll.tracking.sweeps import open_parent

    texts = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    swept = {
        override.get_key_element(): list(override.sweep_string_iterator())
        for override in parser.parse_overrides([*texts, *config.hydra.overrides.task])
        if override.is_discrete_sweep()
    }
    space = {key: ",".join(values) for key, values in swept.items()}
    name = " ".join(f"{key}={values}" for key, values in space.items()) or "sweep"
    folder, objectives = Path(config.hydra.sweep.dir), list(config.get("objectives", ["value"]))
    run_id = open_parent(experiment_of(config, swept), name[:250], space)
    give_parent(config, run_id)
    return Multirun(name, run_id, folder, swept, objectives)


def experiment_of(config: DictConfig, swept: Any) -> str:
    """The experiment of a sweep's runs, if it is one."""
    if "dataset" in swept:
        return SEVERAL_DATASETS
    given = [text.partition("=")[2] for text in config.hydra.overrides.task if text.startswith("dataset=")]
    experiment: str = given[-1] if given else config.hydra.runtime.choices.get("dataset", config.hydra.job.name)
    return experiment


def give_parent(config: DictConfig, run_id: str) -> None:
    """Put the run into every job's configuration, whichever launcher composes it."""
    config.hydra.overrides.hydra.append(f"hydra.callbacks.parent.run_id={run_id}")


def end_multirun(multirun: Multirun, is_interrupted: bool) -> None:
    """Say what came of it, and end its MLflow run."""
    from unroll.sweep.grids import study_of_jobs
    from unroll.sweep.jobs import read_jobs
    from unroll.sweep.summary import end_sweep
    from unroll.tracking.offline import UPLOAD, tolerating
    from unroll.tracking.sweeps import delete_parent

    jobs = read_jobs(multirun.folder, multirun.run_id)
    if jobs or is_interrupted:
        study, later = study_of_jobs(multirun, jobs), f"{UPLOAD}, for its trainings"
        end_sweep(study, multirun.run_id, [], later, is_interrupted=is_interrupted)
    else:  # a mistake that showed before the first job
        with tolerating("that nothing came of the sweep"):
            delete_parent(multirun.run_id)


def stop_idle_workers() -> None:
    """joblib keeps its processes for a next call, and waits ten seconds for them when the command ends."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(kill_workers=True)
