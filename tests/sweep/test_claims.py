import time
from pathlib import Path

import pytest
from optuna import Study, create_study
from optuna.trial import FrozenTrial, Trial, TrialState

from unroll.sweep.claims import SWEEPER, WORKER, forsaken_trials, is_claimed, take
from unroll.sweep.heartbeat import heartbeat_storage
from unroll.sweep.owner import this_process
from unroll.sweep.studies import OVERRIDES

GONE = this_process() | {"started": 1.0}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr("unroll.sweep.heartbeat.GRACE", 1)
    return create_study(storage=heartbeat_storage(f"sqlite:///{tmp_path}/studies.db", {}))


def numbers(trials: list[FrozenTrial]) -> list[int]:
    return [trial.number for trial in trials]


def test_a_trial_belongs_to_the_process_that_took_it(study: Study) -> None:
    take(study.ask(), ["x=1"])
    assert forsaken_trials(study) == ([], [])
    assert study.trials[0].user_attrs[OVERRIDES] == ["x=1"]


def test_a_trial_that_is_taken_again_is_no_longer_the_first_ones(study: Study) -> None:
    first = study.ask()
    take(first, ["x=1"])
    claim = first.user_attrs["claim"]
    assert is_claimed(first, claim)
    take(Trial(study, first._trial_id), ["x=1"])
    assert not is_claimed(first, claim)


def test_a_trial_whose_sweeper_is_gone_is_abandoned(study: Study) -> None:
    study.ask()  # killed before it was taken
    study.ask().set_user_attr(SWEEPER, GONE)
    abandoned, orphans = forsaken_trials(study)
    assert (numbers(abandoned), orphans) == ([0, 1], [])


def test_a_trial_whose_job_still_runs_is_an_orphan(study: Study) -> None:
    trial = study.ask()
    trial.set_user_attr(SWEEPER, GONE)
    trial.set_user_attr(WORKER, this_process())
    abandoned, orphans = forsaken_trials(study)
    assert (abandoned, numbers(orphans)) == ([], [0])
    trial.set_user_attr(WORKER, GONE)
    abandoned, orphans = forsaken_trials(study)
    assert (numbers(abandoned), orphans) == ([0], [])


@pytest.mark.parametrize("role", [SWEEPER, WORKER])
def test_a_trial_of_another_machine_is_abandoned_when_it_gives_no_sign(study: Study, role: str) -> None:
    trial = study.ask()
    take(trial, ["x=1"])
    trial.set_user_attr(SWEEPER, GONE)
    trial.set_user_attr(role, this_process() | {"host": "elsewhere"})
    abandoned, orphans = forsaken_trials(study)
    assert (abandoned, numbers(orphans)) == ([], [0] if role == WORKER else [])
    time.sleep(3)  # the database's clock counts whole seconds
    abandoned, orphans = forsaken_trials(study)
    assert (numbers(abandoned), orphans) == ([0], [])


def test_a_finished_trial_is_not_abandoned(study: Study) -> None:
    study.ask().set_user_attr(SWEEPER, GONE)
    study.tell(0, state=TrialState.FAIL)
    assert forsaken_trials(study) == ([], [])
