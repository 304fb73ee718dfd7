import time
from pathlib import Path

import pytest
from optuna import Study, create_study
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from unroll.sweep import heartbeat as module
from unroll.sweep.heartbeat import beat, heartbeat, heartbeat_storage, silent_trials


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(module, "INTERVAL", 0.2)
    monkeypatch.setattr(module, "GRACE", 1)
    return create_study(storage=heartbeat_storage(f"sqlite:///{tmp_path}/studies.db", {}))


def test_a_trial_is_silent_some_time_after_its_last_sign(study: Study) -> None:
    trial = study.ask()
    beat(trial)
    assert silent_trials(study) == set()
    time.sleep(3)  # the database's clock counts whole seconds
    assert silent_trials(study) == {trial._trial_id}


def test_a_trial_is_not_silent_as_long_as_its_block_takes(study: Study) -> None:
    trials = [study.ask(), study.ask()]
    with heartbeat(trials):
        time.sleep(3)
        assert silent_trials(study) == set()
    time.sleep(3)
    assert silent_trials(study) == {trial._trial_id for trial in trials}


def test_a_database_that_is_away_for_a_while_does_not_end_the_signs(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = study.ask()
    record = RDBStorage.record_heartbeat
    calls = []

    def failing_once(storage: RDBStorage, trial_id: int) -> None:
        calls.append(trial_id)
        if len(calls) == 1:
            raise StorageInternalError("away")
        record(storage, trial_id)

    monkeypatch.setattr(RDBStorage, "record_heartbeat", failing_once)
    with heartbeat([trial]):
        time.sleep(1)
    assert len(calls) > 1
    time.sleep(3)
    assert silent_trials(study) == {trial._trial_id}


def test_a_trial_that_gave_no_sign_yet_is_not_silent(study: Study) -> None:
    study.ask()
    assert silent_trials(study) == set()
