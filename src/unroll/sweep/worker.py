"""The job of a trial: it works only on what still is its sweeper's, and tells the study itself what came of it.

So nothing that is done is lost with the sweeper, and what one job found others know while the rest of its batch runs.
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
from unroll.sweep.claims import WORKER, is_claimed
from unroll.sweep.heartbeat import heartbeat
from unroll.sweep.owner import this_process
from unroll.sweep.studies import ERROR, load_study
from unroll.tracking.offline import log


def work(sweeper: DictConfig, job: Callable[[], Any]) -> Any:
    """Run the job; return what it returns, of which the study is told.

    Args:
        sweeper: `hydra.sweeper` of the job.

    Raises:
        JobFailed: another process has taken the trial over.
        StoreLost: MLflow or the study cannot be used; the trial is not over.
    """
    with _reaching_study():
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
    _end(trial, sweeper, values=values)
    return value


def load_trial(sweeper: DictConfig) -> Trial:
    """The trial that the job is."""
    study = load_study(sweeper.study, sweeper.storage)
    return Trial(study, study.get_trials(deepcopy=False)[sweeper.trial]._trial_id)


def _end(
    trial: Trial,
    sweeper: DictConfig,
    state: TrialState | None = None,
    values: list[float] | None = None,
    error: str | None = None,
) -> None:
    """Work on the trial no longer; without a state and values it is to be gone on with."""
    with _owning(trial, sweeper):
        trial.set_user_attr(WORKER, None)
        if error is not None:
            trial.set_user_attr(ERROR, error)
        if state is not None or values is not None:
            trial.study.tell(trial.number, values, state)


@contextmanager
def _owning(trial: Trial, sweeper: DictConfig) -> Iterator[None]:
    """Hold the study's lock while the trial is the sweeper's that launched this job."""
    with _reaching_study(), study_lock(sweeper.storage):
        if not is_claimed(trial, sweeper.claim):
            message = f"trial {trial.number} of {sweeper.study}: another process has taken it over; this job ends"
            log.error("error: %s", message)
            raise JobFailed(message)
        yield


@contextmanager
def _reaching_study() -> Iterator[None]:
    try:
        yield
    except (ValueError, SQLAlchemyError, StorageInternalError) as error:
        raise StoreLost(str(error)) from error


def _numbers(value: Any, count: int) -> list[float]:
    """What a job returned, as one float for each objective."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) != count or not all(isinstance(one, int | float) and one == one for one in values):
        raise ValueError(f"the job returned {value!r}; accepted: {count} number{'s' if count > 1 else ''}")
    return [float(one) for one in values]
