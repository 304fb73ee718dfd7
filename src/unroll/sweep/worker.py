"""The job of a trial: it runs only while its sweeper owns the trial, and records its own result in the study.

A result is therefore kept even if the sweeper dies, and other processes see it before the rest of its batch ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from omegaconf import DictConfig
from optuna import TrialPruned
from optuna.exceptions import StorageInternalError
from optuna.trial import Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from unroll.exceptions import JobFailed, Pruned, StoreLost, StoreUnavailable
from unroll.locks import study_lock
from unroll.sweep.ownership import WORKER, heartbeat, is_claimed, this_process
from unroll.sweep.studies import ERROR, load_study
from unroll.tracking.offline import log


def run_trial(sweeper: DictConfig, job: Callable[[], Any]) -> Any:
    """Run the job of a trial, record the result in the study, and return what the job returned.

    Args:
        sweeper: `hydra.sweeper` of the job's configuration.

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
