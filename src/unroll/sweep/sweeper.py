"""Optuna studies as Hydra sweeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna import Study
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, GridSampler

from unroll.arguments import check_arguments
from unroll.checks import check_name, check_seed
from unroll.conf_files import typed_overrides
from unroll.exceptions import JobFailed
from unroll.files import write_text
from unroll.locks import study_lock
from unroll.sweep.multirun import experiment_of
from unroll.sweep.objectives import SCORE, names_of
from unroll.sweep.ownership import heartbeat
from unroll.sweep.promote import promotion_hint
from unroll.sweep.space import Space
from unroll.sweep.studies import PARENT, open_study, study_name
from unroll.sweep.summary import end_sweep
from unroll.sweep.trials import Trials, overrides_of_job
from unroll.tracking.sweeps import open_parent


@dataclass
class StudySweeper:
    """Draws values from an Optuna study and launches jobs with them, which record their results in the study.

    After an interruption at any moment, the same command resumes the study: unfinished trials continue in their own
    folders. Several processes may share a study; each trial is run by one of them. The seed of a trial is that of the
    sampler plus the trial's number, so that a resumed study draws the same values as an uninterrupted one.
    """

    study: str | int | None  # its name; None for a name derived from the command
    storage: str  # the URL of its database
    n_trials: int | None  # of the whole study; None for all points of a grid
    n_jobs: int  # the number of trials passed to the launcher at once
    sampler: Any  # a partial function that makes a sampler
    pruner: BasePruner  # of the jobs, which report their validation scores to it
    params: DictConfig  # the search space, or part of it: key to a sweep in the override grammar

    def __post_init__(self) -> None:
        if self.study is not None:
            check_name("hydra.sweeper.study", self.study)
        for key, value in {"n_trials": self.n_trials, "n_jobs": self.n_jobs}.items():
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"hydra.sweeper.{key}={value}; accepted: 1 or more")

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._check_parts(config.hydra.runtime.choices)
        self._loader = hydra_context.config_loader
        self._config = config
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def _check_parts(self, choices: Mapping[str, Any]) -> None:
        """Refuse what the files of the sampler and the pruner, chosen in `choices`, may have become."""
        made = self.sampler.func if isinstance(self.sampler, partial) else None
        has_seed = made is not None and type(self.sampler.keywords.get("seed")) is int
        is_sampler = isinstance(made, type) and issubclass(made, BaseSampler) and has_seed
        sound = {"sampler": is_sampler, "pruner": isinstance(self.pruner, BasePruner)}
        accepted = {"sampler": "a sampler of Optuna, _partial_: true and a whole number as seed", "pruner": "a pruner"}
        for part in (name for name, is_sound in sound.items() if not is_sound):
            file = f"conf/hydra/sweeper/{part}/{choices.get(f'hydra/sweeper/{part}')}.yaml"
            raise ValueError(f"hydra.sweeper.{part} cannot be used; accepted: {accepted[part]}; see {file}")
        check_arguments(self.sampler.func, self.sampler.keywords, "hydra.sweeper.sampler")
        check_seed("hydra.sweeper.sampler.seed", self.sampler.keywords["seed"])

    def sweep(self, arguments: list[str]) -> Study:
        overrides = [f"{key!s}={value}" for key, value in self.params.items()] + arguments
        space = Space(OverridesParser.create(self._loader).parse_overrides(overrides))
        objectives, size = self._check_jobs(space), self._size(space)
        search: Any = OmegaConf.masked_copy(self._config.hydra.sweeper, ["sampler", "pruner"])
        search = OmegaConf.to_container(search, resolve=True)
        derived = study_name(self._config.hydra.job.name, overrides, search)
        name = derived if self.study is None else str(self.study)
        with study_lock(self.storage):
            study = open_study(name, self.storage, objectives, space, search)
            experiment, earlier = experiment_of(self._config, space.swept), study.user_attrs.get(PARENT)
            parent = open_parent(experiment, name, space.texts(), earlier)
            study.set_user_attr(PARENT, parent)
        self._configure_jobs(name, parent)
        print(f"study {name}: {len(study.trials)} of {size} trials so far", flush=True)

        files, plan = [Path(self._config.hydra.sweep.dir) / "multirun.yaml"], Path("params.yaml")
        hint = partial(promotion_hint, plan=plan) if plan.exists() else None  # another project has no pipeline
        lock_study = partial(study_lock, self.storage)
        end = partial(end_sweep, study, parent, files, "the same command", hint, lock_study=lock_study)
        trials = Trials(study, self.storage, space, size, partial(self._make_sampler, space))
        try:
            while batch := trials.next_batch(self.n_jobs):
                with heartbeat(batch):
                    returned = self._launcher.launch([overrides_of_job(trial) for trial in batch], batch[0].number)
                for trial, job in zip(batch, returned, strict=True):
                    trials.finish(trial, job)
        except KeyboardInterrupt:
            end(is_interrupted=True)
            raise
        if not end():
            raise JobFailed("no trial is complete")
        return study

    def _check_jobs(self, space: Space) -> list[str]:
        """Compose jobs that cover the space, to find mistakes before the first trial; return the objectives' names."""
        configs = [self._loader.load_sweep_config(self._config, overrides) for overrides in space.corners()]
        names = names_of(configs[0].get("objectives", ["value"]))
        if names != [SCORE] and not isinstance(self.pruner, NopPruner):
            raise ValueError(
                f"objectives={names}: trials can be pruned only by {SCORE}; accepted: objectives=[{SCORE}], or "
                "hydra/sweeper/pruner=none"
            )
        return names

    def _configure_jobs(self, name: str, parent: str) -> None:
        """Pass study, parent run and folder to every job as overrides; without a given folder, `multirun/NAME`."""
        given = self._config.hydra.overrides.hydra
        with open_dict(self._config):
            if not any(override.startswith("hydra.sweep.dir=") for override in typed_overrides(given)):
                self._config.hydra.sweep.dir = f"multirun/{name}"
                given.append(f"hydra.sweep.dir='multirun/{name}'")
            given += [f"hydra.sweeper.study='{name}'", f"hydra.callbacks.parent.run_id={parent}"]
        folder = Path(self._config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "multirun.yaml", OmegaConf.to_yaml(self._config))

    def _size(self, space: Space) -> int:
        """The number of trials of the whole study, for a grid at most its points."""
        if self.n_trials is not None and self.sampler.func is not GridSampler:
            return self.n_trials
        points = prod(len(values) for values in space.grid().values())
        return points if self.n_trials is None else min(points, self.n_trials)

    def _make_sampler(self, space: Space, number: int) -> BaseSampler:
        if self.sampler.func is GridSampler:  # its seed shuffles the points, in the same order for every trial
            return self.sampler(search_space=space.grid())
        return self.sampler(seed=self.sampler.keywords["seed"] + number)
