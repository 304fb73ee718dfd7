"""Hydra's sweeper for studies of Optuna. Hydra imports this in every command: Optuna is imported where it is used."""

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
from unroll.sweep.multirun import experiment_of, give_parent
from unroll.sweep.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from unroll.sweep.trials import Trials


class OptunaSweeper(Sweeper):
    """Asks a study for values, and launches jobs with them, which tell the study what came of it.

    Killed at any moment, the same command goes on with the trials that are left; trials that were being worked on are
    taken up again in their own folders. Several processes share one study: each trial is worked on by one of them.

    Args:
        study: its name; None for one made of the command's overrides.
        storage: the URL of its database.
        n_trials: of the whole study; None for all points of a grid.
        n_jobs: trials given to the launcher at once.
        sampler: makes the sampler for a `seed`; a trial's seed is this one plus its number, so that a study that was
            interrupted draws what an unbroken one would.
        pruner: for the jobs, which report their scores to it.
        params: the search space, or a part of it: key to a sweep in the override grammar.
        trial, claim: in the configuration of a job, its trial's number, and by what it knows that the trial is its own.
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
        from unroll.locks import study_lock
        from unroll.sweep.promote import promotion_hint
        from unroll.sweep.studies import open_study, study_name
        from unroll.sweep.summary import end_sweep
        from unroll.sweep.trials import Trials

        texts = [f"{key!s}={value}" for key, value in self.params.items()] + arguments
        space = Space(OverridesParser.create(self._loader).parse_overrides(texts))
        objectives, size, search = self._compose(space), self._size(space), self._search()
        name = self.name or study_name(self._config.hydra.job.name, texts, search)
        with study_lock(self.storage):
            study = open_study(name, self.storage, objectives, space, search)
            parent = self._parent(study, space)
        self._settle(name, parent)
        print(f"study {name}: {len(study.trials)} of {size} trials so far", flush=True)

        files, plan = [Path(self._config.hydra.sweep.dir) / "multirun.yaml"], Path("params.yaml")
        hint = partial(promotion_hint, plan=plan) if plan.exists() else None  # another project's sweep has no pipeline
        lock = partial(study_lock, self.storage)
        end = partial(end_sweep, study, parent, files, "the same command", hint, lock=lock)
        try:
            self._work(Trials(study, self.storage, space, size, partial(self._sampler, space)))
        except KeyboardInterrupt:
            end(is_interrupted=True)
            raise
        if not end():
            raise JobFailed("no trial is complete")
        return study

    def _work(self, trials: "Trials") -> None:
        """Run trials until none is left that this process could take, now or later."""
        from unroll.sweep.heartbeat import heartbeat
        from unroll.sweep.trials import overrides_of_job

        while batch := trials.claim(self.n_jobs):
            with heartbeat(batch):
                outcomes = self._launcher.launch([overrides_of_job(trial) for trial in batch], batch[0].number)
            for trial, returned in zip(batch, outcomes, strict=True):
                trials.report(trial, returned)

    def _compose(self, space: Space) -> list[str]:
        """Compose jobs at all corners of the space, so that a mistake shows now, and not as a trial that failed.

        Returns the names of what a job returns.
        """
        from optuna.pruners import NopPruner

        from unroll.sweep.objectives import SCORE

        configs = [self._loader.load_sweep_config(self._config, overrides) for overrides in space.corners()]
        names = list(configs[0].get("objectives", ["value"]))
        if names != [SCORE] and not isinstance(self.pruner, NopPruner):
            raise ValueError(
                f"objectives={names}: a trial is given up by its {SCORE}, and by nothing else; "
                "accepted: hydra/sweeper/pruner=none"
            )
        return names

    def _search(self) -> dict[str, Any]:
        """How values are drawn and trials given up, which makes another study of the same space."""
        parts = OmegaConf.masked_copy(self._config.hydra.sweeper, ["sampler", "pruner"])
        return OmegaConf.to_container(parts, resolve=True)  # type: ignore[return-value]

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
                given.append(f"hydra.sweep.dir='multirun/{name}'")
            given.append(f"hydra.sweeper.study='{name}'")
            give_parent(self._config, parent)
        folder = Path(self._config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, folder / "multirun.yaml")

    def _size(self, space: Space) -> int:
        """The number of trials of the whole study; a grid ends with its points."""
        if self.n_trials is not None and not self._is_grid():
            return self.n_trials
        points = prod(len(values) for values in space.grid().values())
        return points if self.n_trials is None else min(points, self.n_trials)

    def _is_grid(self) -> bool:
        from optuna.samplers import GridSampler

        sampler: Any = self.sampler
        return sampler.func is GridSampler

    def _sampler(self, space: Space, number: int) -> "BaseSampler":
        """For the trial with that number."""
        if self._is_grid():  # shuffles by its seed: the same points in the same order for every trial
            return self.sampler(search_space=space.grid())
        sampler: Any = self.sampler
        return self.sampler(seed=sampler.keywords["seed"] + number)


def _check(sweeper: OptunaSweeper) -> None:
    if sweeper.name is not None and not re.fullmatch(r"[\w.-]+", sweeper.name):
        raise ValueError(f"hydra.sweeper.study={sweeper.name!r}; accepted: letters, digits, '.', '-' and '_'")
    for name in ("n_trials", "n_jobs"):
        value = getattr(sweeper, name)
        if value is not None and value < 1:
            raise ValueError(f"hydra.sweeper.{name}={value}; accepted: 1 or more")
