import json
import subprocess
import sys
from typing import Any

import pytest
from optuna import Study
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import text

from tests.sweep.commands import wait_until
from unroll.sweep import ownership
from unroll.sweep.ownership import (
    CLAIM,
    SWEEPER,
    WORKER,
    abandoned_trials,
    heartbeat,
    is_claimed,
    is_running,
    record_heartbeat,
    take,
    this_process,
)

DEAD = this_process() | {"started": 1.0}


def numbers(trials: list[FrozenTrial]) -> list[int]:
    return [trial.number for trial in trials]


def silent_trials(study: Study) -> set[int]:
    """The ids of the running trials whose latest heartbeat is too old."""
    storage: Any = study._storage
    return set(storage._get_stale_trial_ids(study._study_id))


def age_heartbeats(study: Study) -> None:
    """Move all heartbeats into the distant past, as if no process had recorded any since."""
    storage: Any = study._storage
    with storage._backend.engine.begin() as connection:
        connection.execute(text("update trial_heartbeats set heartbeat = '2000-01-01 00:00:00.000000'"))


def test_this_process_is_running() -> None:
    assert is_running(this_process())


def test_a_process_that_ended_is_not() -> None:
    code = "import json; from unroll.sweep.ownership import this_process; print(json.dumps(this_process()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not is_running(json.loads(done.stdout))


def test_a_later_process_with_the_same_number_is_another() -> None:
    assert not is_running(DEAD)


def test_a_clock_that_was_set_by_a_little_does_not_make_another_process() -> None:
    owner = this_process()
    assert is_running(owner | {"started": owner["started"] - 2})


def test_a_trial_belongs_to_the_process_that_took_it(study: Study) -> None:
    take(study.ask())
    assert abandoned_trials(study) == ([], [])
    assert study.trials[0].user_attrs[SWEEPER] == this_process()


def test_a_trial_that_is_taken_again_is_no_longer_the_first_ones(study: Study) -> None:
    first = study.ask()
    take(first)
    claim = first.user_attrs[CLAIM]
    assert is_claimed(first, claim)
    take(Trial(study, first._trial_id))
    assert not is_claimed(first, claim)


def test_a_trial_whose_sweeper_is_dead_is_abandoned(study: Study) -> None:
    study.ask()  # killed before it was taken
    study.ask().set_user_attr(SWEEPER, DEAD)
    abandoned, orphans = abandoned_trials(study)
    assert (numbers(abandoned), orphans) == ([0, 1], [])


def test_a_trial_whose_job_still_runs_is_an_orphan(study: Study) -> None:
    trial = study.ask()
    trial.set_user_attr(SWEEPER, DEAD)
    trial.set_user_attr(WORKER, this_process())
    abandoned, orphans = abandoned_trials(study)
    assert (abandoned, numbers(orphans)) == ([], [0])
    trial.set_user_attr(WORKER, DEAD)
    abandoned, orphans = abandoned_trials(study)
    assert (numbers(abandoned), orphans) == ([0], [])


@pytest.mark.parametrize("role", [SWEEPER, WORKER])
def test_a_trial_of_another_machine_is_abandoned_when_its_heartbeat_stops(study: Study, role: str) -> None:
    trial = study.ask()
    take(trial)
    trial.set_user_attr(SWEEPER, DEAD)
    trial.set_user_attr(role, this_process() | {"host": "elsewhere"})
    abandoned, orphans = abandoned_trials(study)
    assert (abandoned, numbers(orphans)) == ([], [0] if role == WORKER else [])
    age_heartbeats(study)
    abandoned, orphans = abandoned_trials(study)
    assert (numbers(abandoned), orphans) == ([0], [])


def test_a_trial_of_a_busy_process_of_this_machine_is_not_abandoned_when_its_heartbeat_stops(study: Study) -> None:
    take(study.ask())
    age_heartbeats(study)
    assert abandoned_trials(study) == ([], [])


def test_a_finished_trial_is_not_abandoned(study: Study) -> None:
    study.ask().set_user_attr(SWEEPER, DEAD)
    study.tell(0, state=TrialState.FAIL)
    assert abandoned_trials(study) == ([], [])


def test_a_trial_is_silent_some_time_after_its_last_heartbeat(study: Study) -> None:
    trial = study.ask()
    record_heartbeat(trial)
    assert silent_trials(study) == set()
    age_heartbeats(study)
    assert silent_trials(study) == {trial._trial_id}


def test_heartbeats_go_on_as_long_as_the_block_takes(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "INTERVAL", 0.05)
    trials = [study.ask(), study.ask()]
    for trial in trials:
        record_heartbeat(trial)
    with heartbeat(trials):
        for _ in range(3):
            age_heartbeats(study)
            wait_until(lambda: silent_trials(study) == set())
    age_heartbeats(study)
    assert silent_trials(study) == {trial._trial_id for trial in trials}


def test_a_database_that_is_away_for_a_while_does_not_end_the_heartbeats(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "INTERVAL", 0.05)
    trial = study.ask()
    record_heartbeat(trial)
    record = RDBStorage.record_heartbeat
    calls = []

    def failing_once(storage: RDBStorage, trial_id: int) -> None:
        calls.append(trial_id)
        if len(calls) == 1:
            raise StorageInternalError("away")
        record(storage, trial_id)

    monkeypatch.setattr(RDBStorage, "record_heartbeat", failing_once)
    age_heartbeats(study)
    with heartbeat([trial]):
        wait_until(lambda: silent_trials(study) == set())
    assert len(calls) > 1


def test_a_trial_without_a_heartbeat_is_not_silent(study: Study) -> None:
    study.ask()
    assert silent_trials(study) == set()
