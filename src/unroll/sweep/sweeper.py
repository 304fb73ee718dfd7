"""Hydra sweeper for Optuna studies."""

import re
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from unroll.exceptions import JobFailed
from unroll.sweep.multirun import experiment_of, set_parent
from unroll.sweep.space import Space

if TYPE_CHECKING:  # Hydra imports its plugins, and so this module, in every command; Optuna is slow to import
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from unroll.sweep.trials import Trials


class StudySweeper(Sweeper):
    """Draws values from an Optuna study and launches jobs with them, which record their results in the study.

    After an interruption at any moment, the same command resumes the study: unfinished trials continue in their own
    folders. Several processes may share a study; each trial is run by one of them.

    Args:
        study: its name; None for a name derived from the command.
        storage: the URL of its database.
        n_trials: of the whole study; None for all points of a grid.
        n_jobs: the number of trials passed to the launcher at once.
        sampler: makes the sampler for a `seed`. The seed of a trial is the configured one plus the trial's number, so
            that a resumed study draws the same values as an uninterrupted one.
        pruner: of the jobs, which report their validation scores to it.
        params: the search space, or part of it: key to a sweep in the override grammar.
        trial: in a job's configuration, the number of its trial.
        claim: in a job's configuration, the token that shows whether the trial still belongs to it.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        study: str | int | None,
        storage: str,
        n_trials: int | None,
        n_jobs: int,
        sampler: "Callable[..., BaseSampler]",
        pruner: "BasePruner",
        params: DictConfig,
        trial: int | None = None,
        claim: str | None = None,
    ) -> None:
        self.name = None if study is None else str(study)
        self.storage = storage
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.sampler: Any = sampler  # a partial function
        self.pruner = pruner
        self.params = params
        if self.name is not None and not re.fullmatch(r"[\w.-]+", self.name):
            raise ValueError(f"hydra.sweeper.study={self.name!r}; accepted: letters, digits, '.', '-' and '_'")
        for key, value in {"n_trials": n_trials, "n_jobs": n_jobs}.items():
            if value is not None and value < 1:
                raise ValueError(f"hydra.sweeper.{key}={value}; accepted: 1 or more")

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._loader = hydra_context.config_loader
        self._config = config
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> "Study":
        from unroll.locks import study_lock
        from unroll.sweep.promote import promotion_hint
        from unroll.sweep.studies import open_study, study_name
        from unroll.sweep.summary import end_sweep
        from unroll.sweep.trials import Trials

        overrides = [f"{key!s}={value}" for key, value in self.params.items()] + arguments
        space = Space(OverridesParser.create(self._loader).parse_overrides(overrides))
        objectives, size, search = self._check_jobs(space), self._size(space), self._search()
        name = self.name or study_name(self._config.hydra.job.name, overrides, search)
        with study_lock(self.storage):
            study = open_study(name, self.storage, objectives, space, search)
            parent = self._open_parent(study, space)
        self._configure_jobs(name, parent)
        print(f"study {name}: {len(study.trials)} of {size} trials so far", flush=True)

        files, plan = [Path(self._config.hydra.sweep.dir) / "multirun.yaml"], Path("params.yaml")
        hint = partial(promotion_hint, plan=plan) if plan.exists() else None  # another project has no pipeline
        lock_study = partial(study_lock, self.storage)
        end = partial(end_sweep, study, parent, files, "the same command", hint, lock_study=lock_study)
        try:
            self._run(Trials(study, self.storage, space, size, partial(self._make_sampler, space)))
        except KeyboardInterrupt:
            end(is_interrupted=True)
            raise
        if not end():
            raise JobFailed("no trial is complete")
        return study

    def _run(self, trials: "Trials") -> None:
        """Run trials until none is left for this process."""
        from unroll.sweep.ownership import heartbeat
        from unroll.sweep.trials import overrides_of_job

        while batch := trials.next_batch(self.n_jobs):
            with heartbeat(batch):
                returned = self._launcher.launch([overrides_of_job(trial) for trial in batch], batch[0].number)
            for trial, job in zip(batch, returned, strict=True):
                trials.finish(trial, job)

    def _check_jobs(self, space: Space) -> list[str]:
        """Compose a few jobs that cover the space, so that a mistake ends the command rather than a trial.

        Returns:
            The names of the objectives.
        """
        from optuna.pruners import NopPruner

        from unroll.sweep.objectives import SCORE

        configs = [self._loader.load_sweep_config(self._config, overrides) for overrides in space.corners()]
        names = list(configs[0].get("objectives", ["value"]))
        if names != [SCORE] and not isinstance(self.pruner, NopPruner):
            raise ValueError(
                f"objectives={names}: trials can be pruned only by {SCORE}; accepted: objectives=[{SCORE}], or "
                "hydra/sweeper/pruner=none"
            )
        return names

    def _search(self) -> dict[str, Any]:
        """The configuration of the sampler and the pruner, which belongs to the identity of a study."""
        parts = OmegaConf.masked_copy(self._config.hydra.sweeper, ["sampler", "pruner"])
        return OmegaConf.to_container(parts, resolve=True)  # type: ignore[return-value]

    def _open_parent(self, study: "Study", space: Space) -> str:
        """Open the study's MLflow run, or reopen it if a process has already created it; return its id."""
        from unroll.sweep.studies import PARENT
        from unroll.tracking.sweeps import open_parent, reopen_parent

        run_id: str | None = study.user_attrs.get(PARENT)
        if run_id is None or not reopen_parent(run_id):
            run_id = open_parent(experiment_of(self._config, space.swept), study.study_name, space.texts())
            study.set_user_attr(PARENT, run_id)
        return run_id

    def _configure_jobs(self, name: str, parent: str) -> None:
        """Pass study, parent run and folder to every job as overrides; without a given folder, `multirun/NAME`."""
        given = self._config.hydra.overrides.hydra
        with open_dict(self._config):
            if not any(override.startswith("hydra.sweep.dir=") for override in given):
                self._config.hydra.sweep.dir = f"multirun/{name}"
                given.append(f"hydra.sweep.dir='multirun/{name}'")
            given.append(f"hydra.sweeper.study='{name}'")
            set_parent(self._config, parent)
        folder = Path(self._config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, folder / "multirun.yaml")

    def _size(self, space: Space) -> int:
        """The number of trials of the whole study, for a grid at most its points."""
        if self.n_trials is not None and not self._is_grid():
            return self.n_trials
        points = prod(len(values) for values in space.grid().values())
        return points if self.n_trials is None else min(points, self.n_trials)

    def _is_grid(self) -> bool:
        from optuna.samplers import GridSampler

        return bool(self.sampler.func is GridSampler)

    def _make_sampler(self, space: Space, number: int) -> "BaseSampler":
        """The sampler for the trial with that number."""
        if self._is_grid():  # its seed shuffles the points, which must have the same order for every trial
            return self.sampler(search_space=space.grid())
        return self.sampler(seed=self.sampler.keywords["seed"] + number)
