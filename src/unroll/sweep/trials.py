"""Trials of a study: a sweeper takes them in batches, and their jobs record their own results in the study.

A result is therefore kept even if the sweeper dies, and other processes see it before the rest of its batch ends.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from optuna import Study, TrialPruned
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from unroll.exceptions import JobFailed, Pruned, StoreLost, StoreUnavailable
from unroll.locks import study_lock
from unroll.sweep.ownership import CLAIM, DEATHS, WORKER, abandoned_trials, heartbeat, is_claimed, take, this_process
from unroll.sweep.space import Space, assignments
from unroll.sweep.studies import ERROR, OVERRIDES, load_study
from unroll.tracking.offline import log

MAX_DEATHS = 3  # processes that may die while they run a trial; then it has failed


@dataclass
class Trials:
    """The trials of a study, for one of the processes that share it."""

    study: Study
    storage: str
    space: Space
    size: int  # the number of trials of the whole study
    sampler: Callable[[int], BaseSampler]  # makes the sampler of the trial with the given number
    _announced: set[int] = field(default_factory=set)

    def next_batch(self, count: int) -> list[Trial]:
        """Take up to `count` trials, abandoned ones first; an empty list if none is left for this process.

        While the only trials left are those whose sweeper is dead but whose job still runs, wait for these jobs.
        """
        while True:
            with study_lock(self.storage):
                abandoned, orphans = abandoned_trials(self.study)
                trials = [self._take(trial.number, trial) for trial in self._resumable(abandoned)[:count]]
                known = len(self.study.get_trials(deepcopy=False))
                for number in range(known, min(self.size, known + count - len(trials))):
                    trials.append(self._take(number))
            if trials or not orphans:
                return trials
            for trial in orphans:
                if trial.number not in self._announced:
                    job = trial.user_attrs[WORKER]
                    waiting = f"waiting for its job, process {job['pid']} on {job['host']}"
                    print(f"trial {trial.number}: {waiting}", flush=True)
            self._announced.update(trial.number for trial in orphans)
            time.sleep(1)

    def _take(self, number: int, abandoned: FrozenTrial | None = None) -> Trial:
        self.study.sampler = self.sampler(number)
        trial = self.study.ask() if abandoned is None else Trial(self.study, abandoned._trial_id)
        take(trial)
        trial.set_user_attr(OVERRIDES, self.space.suggest(trial))
        self.study.sampler = RandomSampler()  # GridSampler would call Study.stop after its last point, which raises
        return trial

    def _resumable(self, abandoned: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The abandoned trials except those whose process died too often, which fail, so that the study can end."""
        kept, storage = [], self.study._storage
        for trial in abandoned:
            deaths = trial.user_attrs.get(DEATHS, 0) + (trial.user_attrs.get(WORKER) is not None)
            storage.set_trial_user_attr(trial._trial_id, DEATHS, deaths)
            if deaths < MAX_DEATHS:
                kept.append(trial)
                continue
            error = f"its process died {deaths} times"
            storage.set_trial_user_attr(trial._trial_id, ERROR, error)
            self.study.tell(trial.number, state=TrialState.FAIL)
            print(f"trial {trial.number}: failed, {error}", flush=True)
        return kept

    def finish(self, trial: Trial, returned: JobReturn) -> None:
        """Print the result of a trial, which has failed if its job recorded none; raise ValueError if a store fails."""
        with study_lock(self.storage):
            if not is_claimed(trial, trial.user_attrs[CLAIM]):
                print(f"trial {trial.number}: another process has taken it over", flush=True)
                return
            value = returned._return_value  # the property `return_value` would print a pruned job as failed
            if isinstance(value, StoreLost):
                raise ValueError(
                    f"trial {trial.number} is unfinished: {value}; to resume it, run the same command "
                    "when the store can be reached"
                )
            if not trial.storage.get_trial(trial._trial_id).state.is_finished():
                trial.set_user_attr(ERROR, str(value))
                self.study.tell(trial.number, state=TrialState.FAIL)
            ended = trial.storage.get_trial(trial._trial_id)
        result = {TrialState.FAIL: "failed", TrialState.PRUNED: "pruned"}.get(ended.state)
        result = result or "  ".join(f"{value:.6g}" for value in ended.values)
        print(f"trial {trial.number}: {result}  {' '.join(assignments(trial.params))}", flush=True)


def overrides_of_job(trial: Trial) -> list[str]:
    return [
        *trial.user_attrs[OVERRIDES],
        f"hydra.sweep.subdir='{trial.number}'",
        f"hydra.sweeper.trial={trial.number}",
        f"hydra.sweeper.claim='{trial.user_attrs[CLAIM]}'",
    ]


def run_trial(sweeper: DictConfig, job: Callable[[], Any]) -> Any:
    """Run the job of a trial, whose `hydra.sweeper` is given, record the result in the study, and return it.

    Raises:
        JobFailed: another process has taken the trial.
        StoreLost: MLflow or the study cannot be used; the trial stays unfinished.
    """
    with _requiring_study():
        trial = load_trial(sweeper)
    with _owning(trial, sweeper):
        trial.set_user_attr(WORKER, this_process())
    try:
        with heartbeat([trial]):
            value = job()
        values = _numbers(value, len(trial.study.directions))
    except (Pruned, TrialPruned):
        _end(trial, sweeper, state=TrialState.PRUNED)
        raise
    except Exception as error:
        if isinstance(error.__cause__, StoreUnavailable):
            _end(trial, sweeper)
            raise StoreLost(str(error)) from error
        _end(trial, sweeper, state=TrialState.FAIL, error=str(error))
        raise
    except BaseException:
        with suppress(JobFailed):
            _end(trial, sweeper)
        raise
    _end(trial, sweeper, state=TrialState.COMPLETE, values=values)
    return value


def load_trial(sweeper: DictConfig) -> Trial:
    """The trial of this job, from `hydra.sweeper` of its configuration."""
    study = load_study(sweeper.study, sweeper.storage)
    return Trial(study, study.get_trials(deepcopy=False)[sweeper.trial]._trial_id)


def _end(
    trial: Trial, sweeper: DictConfig, state: TrialState | None = None, values: Any = None, error: str | None = None
) -> None:
    """Record that the job has ended; without a state, the trial stays unfinished, to be resumed."""
    with _owning(trial, sweeper):
        trial.set_user_attr(WORKER, None)
        if error is not None:
            trial.set_user_attr(ERROR, error)
        if state is not None:
            trial.study.tell(trial.number, values, state)


@contextmanager
def _owning(trial: Trial, sweeper: DictConfig) -> Iterator[None]:
    """Hold the study's lock; raise JobFailed if the sweeper that launched this job no longer owns the trial."""
    with _requiring_study(), study_lock(sweeper.storage):
        if not is_claimed(trial, sweeper.claim):
            message = f"trial {trial.number} of {sweeper.study}: another process has taken it over; this job ends"
            log.error("error: %s", message)
            raise JobFailed(message)
        yield


@contextmanager
def _requiring_study() -> Iterator[None]:
    """Turn errors of the study's storage into StoreLost."""
    try:
        yield
    except (ValueError, SQLAlchemyError, StorageInternalError) as error:
        raise StoreLost(str(error)) from error


def _numbers(value: Any, count: int) -> list[float]:
    """The value that a job returned, as one float per objective."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) != count or not all(isinstance(one, int | float) and one == one for one in values):
        raise ValueError(f"the job returned {value!r}; accepted: {count} number{'s' if count > 1 else ''}")
    return [float(one) for one in values]
