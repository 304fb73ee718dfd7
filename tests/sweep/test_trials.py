from pathlib import Path

import pytest
from optuna import Study
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from tests.sweep.spaces import space
from unroll.sweep.ownership import CLAIM, SWEEPER, WORKER, take, this_process
from unroll.sweep.studies import ERROR, OVERRIDES, open_study
from unroll.sweep.trials import Trials, overrides_of_job

DEAD = this_process() | {"started": 1.0}
SPACE = space("x=1,2", "y=3")


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def study(storage: str) -> Study:
    return open_study("s", storage, ["best_score"], SPACE, {})


@pytest.fixture
def trials(study: Study, storage: str) -> Trials:
    return Trials(study, storage, SPACE, size=3, sampler=lambda number: RandomSampler(seed=number))


def leave(study: Study, worker: dict[str, object] | None) -> None:
    """A trial whose sweeper is dead."""
    trial = study.ask()
    take(trial)
    trial.set_user_attr(OVERRIDES, ["y=3", "x=1"])
    trial.set_user_attr(SWEEPER, DEAD)
    trial.set_user_attr(WORKER, worker)


def test_what_was_left_comes_first_and_then_what_is_new(study: Study, trials: Trials) -> None:
    leave(study, worker=None)
    assert [trial.number for trial in trials.next_batch(2)] == [0, 1]
    assert [trial.number for trial in trials.next_batch(2)] == [2]
    assert trials.next_batch(2) == []


def test_a_job_is_given_its_trial_and_a_claim_that_is_new_each_time(study: Study, trials: Trials) -> None:
    leave(study, worker=None)
    before = study.trials[0].user_attrs[CLAIM]
    (trial,) = trials.next_batch(1)
    claim = study.trials[0].user_attrs[CLAIM]
    assert claim != before
    own = ["hydra.sweep.subdir='0'", "hydra.sweeper.trial=0", f"hydra.sweeper.claim='{claim}'"]
    assert overrides_of_job(trial) == ["y=3", f"x={trial.params['x']}", *own]


def test_a_trial_whose_process_died_thrice_fails(study: Study, trials: Trials) -> None:
    leave(study, worker=DEAD)
    for deaths in (1, 2):
        (trial,) = trials.next_batch(1)
        assert trial.number == 0, deaths
        trial.set_user_attr(SWEEPER, DEAD)
        trial.set_user_attr(WORKER, DEAD)
    assert [trial.number for trial in trials.next_batch(1)] == [1]
    assert study.trials[0].state == TrialState.FAIL
    assert study.trials[0].user_attrs[ERROR] == "its process died 3 times"


def test_a_trial_that_was_left_without_a_job_does_not_count_as_dead(study: Study, trials: Trials) -> None:
    leave(study, worker=None)
    for _ in range(4):
        (trial,) = trials.next_batch(1)
        assert trial.number == 0
        trial.set_user_attr(SWEEPER, DEAD)


def test_a_job_that_ends_while_it_is_looked_at_leaves_no_trial_behind(
    study: Study, storage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = this_process() | {"started": 2.0}
    looks = iter([True])
    monkeypatch.setattr("unroll.sweep.ownership.is_running", lambda owner: owner == worker and next(looks, False))
    leave(study, worker)
    trials = Trials(study, storage, SPACE, size=1, sampler=lambda number: RandomSampler(seed=number))
    assert [trial.number for trial in trials.next_batch(1)] == [0]
    waited = f"trial 0: waiting for its job, process {worker['pid']} on {worker['host']}\n"
    assert capsys.readouterr().out == waited
