from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from tests.sweep.spaces import space
from unroll.exceptions import JobFailed, Pruned, StoreLost, StoreUnavailable
from unroll.sweep.ownership import CLAIM, WORKER, take, this_process
from unroll.sweep.studies import ERROR, open_study
from unroll.sweep.trials import run_trial


class Job:
    """A trial that was taken, and the job's `hydra.sweeper`."""

    def __init__(self, storage: str) -> None:
        self.study: Study = open_study("s", storage, ["best_score"], space("x=1,2"), {})
        trial = self.study.ask()
        take(trial)
        self.sweeper = {"study": "s", "storage": storage, "trial": 0, "claim": trial.user_attrs[CLAIM]}

    def run(self, task: Callable[[], Any], **other: str) -> Any:
        return run_trial(OmegaConf.create(self.sweeper | other), task)

    @property
    def trial(self) -> FrozenTrial:
        return self.study.trials[0]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(f"sqlite:///{tmp_path}/studies.db")


def raising(error: BaseException) -> Callable[[], Any]:
    def task() -> None:
        raise error

    return task


def unavailable() -> None:
    """Raise what `unroll.stage` raises for an error of the store."""
    raise JobFailed("no answer") from StoreUnavailable("no answer")


def test_the_study_records_what_the_job_returned(job: Job) -> None:
    seen = []

    def task() -> float:
        seen.append(job.trial.user_attrs[WORKER])
        return 0.5

    assert job.run(task) == 0.5
    assert seen == [this_process()]
    assert (job.trial.state, job.trial.value) == (TrialState.COMPLETE, 0.5)
    assert job.trial.user_attrs[WORKER] is None


@pytest.mark.parametrize(
    ("error", "state", "recorded"),
    [
        (Pruned("pruned"), TrialState.PRUNED, None),
        (JobFailed("x=1; accepted: 2"), TrialState.FAIL, "x=1; accepted: 2"),
        (KeyboardInterrupt(), TrialState.RUNNING, None),
    ],
    ids=["pruned", "failed", "interrupted"],
)
def test_how_a_job_ends_is_how_its_trial_does(
    job: Job, error: BaseException, state: TrialState, recorded: str | None
) -> None:
    with pytest.raises(type(error)):
        job.run(raising(error))
    assert job.trial.state == state
    assert job.trial.user_attrs.get(ERROR) == recorded
    assert job.trial.user_attrs[WORKER] is None


@pytest.mark.parametrize("returned", [None, float("nan"), "0.5", [0.5, 1.0]])
def test_what_is_no_number_fails(job: Job, returned: Any) -> None:
    with pytest.raises(ValueError, match=r"the job returned .*; accepted: 1 number"):
        job.run(lambda: returned)
    assert job.trial.state == TrialState.FAIL


def test_a_trial_stays_unfinished_if_mlflow_cannot_be_reached(job: Job) -> None:
    with pytest.raises(StoreLost, match="no answer"):
        job.run(unavailable)
    assert job.trial.state == TrialState.RUNNING


def test_the_error_for_a_missing_study_does_not_mention_the_trial(job: Job) -> None:
    with pytest.raises(StoreLost, match="no such study"):
        job.run(lambda: 0.5, study="another")


def test_a_trial_that_was_taken_over_is_not_worked_on(job: Job) -> None:
    with pytest.raises(JobFailed, match="trial 0 of s: another process has taken it over"):
        job.run(raising(AssertionError()), claim="another")
    assert job.trial.user_attrs[WORKER] is None


def test_the_result_of_a_trial_that_was_taken_over_meanwhile_is_not_recorded(job: Job) -> None:
    def task() -> float:
        job.study._storage.set_trial_user_attr(job.trial._trial_id, CLAIM, "another")
        return 0.5

    with pytest.raises(JobFailed, match="another process has taken it over"):
        job.run(task)
    assert job.trial.state == TrialState.RUNNING
