"""Hydra's sweeper for studies of Optuna. Hydra imports this in every command: Optuna is imported where it is used."""

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from unroll.sweep.multirun import experiment_of, give_parent
from unroll.sweep.outcomes import JobFailed, Pruned
from unroll.sweep.space import Space

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from unroll.sweep.studies import Direction


class OptunaSweeper(Sweeper):
    """Asks a study for values, launches jobs with them, and tells the study what they returned.

    Killed at any moment, the same command goes on with the trials that are left; trials that were being worked on are
    taken up again in their own folders. Several processes share one study: each trial is worked on by one of them.

    Args:
        study: its name; None for one made of the command's overrides.
        storage: the URL of its database.
        n_trials: of the whole study; None for all points of a grid.
        n_jobs: trials given to the launcher at once.
        direction: `maximize` or `minimize`, or one for each of several values that a job returns.
        sampler: makes the sampler for a `seed`; a trial's seed is this one plus its number, so that a study that was
            interrupted draws what an unbroken one would.
        pruner: for the jobs, which report to it.
        params: the search space, or a part of it: key to a sweep in the override grammar.
        trial: in the configuration of a job, the number of its trial.
    """

    def __init__(
        self,
        study: str | None,
        storage: str,
        n_trials: int | None,
        n_jobs: int,
        direction: "Direction | Sequence[Direction]",
        sampler: "Callable[..., BaseSampler]",
        pruner: "BasePruner",
        params: DictConfig,
        trial: int | None = None,
    ) -> None:
        self.name = study
        self.storage = storage
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.directions: list[Direction] = [direction] if isinstance(direction, str) else list(direction)
        self.sampler = sampler
        self.pruner = pruner
        self.params = params
        _check(self)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._loader = hydra_context.config_loader
        self._config = config
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> "Study":
        from unroll.sweep.ending import end_sweep
        from unroll.sweep.lock import study_lock
        from unroll.sweep.promote import promotion_hint
        from unroll.sweep.studies import open_study, study_name

        texts = [f"{key!s}={value}" for key, value in self.params.items()] + arguments
        space = Space(OverridesParser.create(self._loader).parse_overrides(texts))
        objectives, size = self._compose(space), self._size(space)
        name = self.name or study_name(self._config.hydra.job.name, texts)
        with study_lock(self.storage):
            study = open_study(name, self.storage, self.directions, objectives, space)
            parent = self._parent(study, space)
        self._settle(name, parent)
        print(f"study {name}: {len(study.trials)} of {size} trials so far", flush=True)

        files, plan = [Path(self._config.hydra.sweep.dir) / "multirun.yaml"], Path("params.yaml")
        hint = partial(promotion_hint, plan=plan) if plan.exists() else None  # another project's sweep has no pipeline
        lock = partial(study_lock, self.storage)
        end = partial(end_sweep, study, parent, files, "the same command", hint, lock=lock)
        try:
            self._work(study, space, size)
        except KeyboardInterrupt:
            end(is_interrupted=True)
            raise
        if not end():
            raise JobFailed("no trial is complete")
        return study

    def _work(self, study: "Study", space: Space, size: int) -> None:
        """Run trials until none is left that this process could take, now or later."""
        from unroll.sweep.heartbeat import heartbeat
        from unroll.sweep.studies import is_waiting_for_orphans

        while (trials := self._claim(study, space, size)) or is_waiting_for_orphans(study):
            if not trials:
                time.sleep(1)
                continue
            jobs = [self._job(trial) for trial in trials]
            with heartbeat(trials):
                outcomes = self._launcher.launch(jobs, trials[0].number)
            for trial, returned in zip(trials, outcomes, strict=True):
                self._tell(study, trial, returned)

    def _compose(self, space: Space) -> list[str]:
        """Compose jobs at all corners of the space, so that a mistake shows now, and not as a trial that failed.

        Returns the names of what a job returns.
        """
        configs = [self._loader.load_sweep_config(self._config, overrides) for overrides in space.corners()]
        unnamed = [f"value {place}" for place in range(len(self.directions))]
        names = list(configs[0].get("objectives", unnamed))
        if len(names) != len(self.directions):
            raise ValueError(
                f"objectives={names}, but hydra.sweeper.direction={self.directions}; accepted: one direction for each"
            )
        return names

    def _parent(self, study: "Study", space: Space) -> str:
        """The MLflow run of the study, whichever process came first."""
        from unroll.sweep.studies import PARENT
        from unroll.tracking.sweeps import open_parent, reopen_parent

        run_id: str | None = study.user_attrs.get(PARENT)
        if run_id is None or not reopen_parent(run_id):
            run_id = open_parent(experiment_of(self._config, space.swept), study.study_name, space.texts())
            study.set_user_attr(PARENT, run_id)
        return run_id

    def _settle(self, name: str, parent: str) -> None:
        """What every job is given, whichever launcher composes it: a folder that the next command finds again."""
        given = self._config.hydra.overrides.hydra
        with open_dict(self._config):
            if not any(override.startswith("hydra.sweep.dir=") for override in given):
                self._config.hydra.sweep.dir = f"multirun/{name}"
                given.append(f"hydra.sweep.dir=multirun/{name}")
            given.append(f"hydra.sweeper.study={name}")
            give_parent(self._config, parent)
        folder = Path(self._config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, folder / "multirun.yaml")

    def _size(self, space: Space) -> int:
        """The number of trials of the whole study."""
        if self.n_trials is not None:
            return self.n_trials
        size = 1
        for values in space.grid().values():
            size *= len(values)
        return size

    def _claim(self, study: "Study", space: Space, size: int) -> "list[Trial]":
        """The next trials for this process: those that were left in the middle, else new ones, as many as are left."""
        from optuna.samplers import RandomSampler

        from unroll.sweep.lock import study_lock
        from unroll.sweep.studies import abandoned_trials, take

        with study_lock(self.storage):
            trials = abandoned_trials(study)[: self.n_jobs]
            left = size - len(study.get_trials(deepcopy=False))
            for _ in range(min(left, self.n_jobs - len(trials))):
                study.sampler = self._sampler(space, len(study.get_trials(deepcopy=False)))
                trials.append(study.ask())
            for trial in trials:
                take(trial, space.suggest(trial))
        study.sampler = RandomSampler()  # told of the last point of a grid, that sampler would end Optuna's own loop
        return trials

    def _sampler(self, space: Space, number: int) -> "BaseSampler":
        from optuna.samplers import GridSampler

        sampler: Any = self.sampler
        if sampler.func is GridSampler:  # shuffles by its seed: the same points in the same order for every trial
            return self.sampler(search_space=space.grid())
        return self.sampler(seed=sampler.keywords["seed"] + number)

    def _job(self, trial: "Trial") -> list[str]:
        from unroll.sweep.studies import OVERRIDES

        place = [f"hydra.sweep.subdir='{trial.number}'", f"hydra.sweeper.trial={trial.number}"]
        return [*trial.user_attrs[OVERRIDES], *place]

    def _tell(self, study: "Study", trial: "Trial", returned: JobReturn) -> None:
        from optuna import TrialPruned
        from optuna.trial import TrialState

        from unroll.sweep.studies import ERROR

        if study.trials[trial.number].state.is_finished():
            print(f"trial {trial.number}: ended by another process, which thought this one dead", flush=True)
            return
        outcome = returned._return_value  # `return_value` prints that the job failed, of a trial that was pruned too
        try:
            if isinstance(outcome, Exception):
                raise outcome
            values = _numbers(outcome, len(self.directions))
        except (Pruned, TrialPruned):
            study.tell(trial.number, state=TrialState.PRUNED)
            said = "pruned"
        except Exception as error:
            trial.set_user_attr(ERROR, str(error))
            study.tell(trial.number, state=TrialState.FAIL)
            said = "failed"
        else:
            study.tell(trial.number, values)
            said = "  ".join(f"{value:.6g}" for value in values)
        swept = [f"{key}={value}" for key, value in trial.params.items()]
        print(f"trial {trial.number}: {said}  {' '.join(swept)}", flush=True)


def _check(sweeper: OptunaSweeper) -> None:
    from optuna.pruners import NopPruner

    if sweeper.name is not None and not re.fullmatch(r"[\w.-]+", sweeper.name):
        raise ValueError(f"hydra.sweeper.study={sweeper.name!r}; accepted: letters, digits, '.', '-' and '_'")
    for name in ("n_trials", "n_jobs"):
        value = getattr(sweeper, name)
        if value is not None and value < 1:
            raise ValueError(f"hydra.sweeper.{name}={value}; accepted: 1 or more")
    for direction in sweeper.directions:
        if direction not in ("maximize", "minimize"):
            raise ValueError(f"hydra.sweeper.direction={direction!r}; accepted: 'maximize' or 'minimize'")
    if len(sweeper.directions) > 1 and not isinstance(sweeper.pruner, NopPruner):
        raise ValueError("trials with several values cannot be pruned; accepted: hydra/sweeper/pruner=none")


def _numbers(value: Any, count: int) -> list[float]:
    """What a job returned, as one float for each direction."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) != count or not all(isinstance(one, int | float) and one == one for one in values):
        raise ValueError(f"the job returned {value!r}; accepted: {count} number{'s' if count > 1 else ''}")
    return [float(one) for one in values]
