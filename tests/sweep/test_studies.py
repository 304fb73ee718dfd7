import time
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.trial import TrialState

from unroll.sweep.owner import this_process
from unroll.sweep.space import Space
from unroll.sweep.studies import (
    OVERRIDES,
    SWEEPER,
    WORKER,
    abandoned_trials,
    best_trials,
    is_waiting_for_orphans,
    load_study,
    open_study,
    study_name,
    take,
)

GONE = this_process() | {"started": 1.0}


def space(*overrides: str) -> Space:
    return Space(OverridesParser.create().parse_overrides(list(overrides)))


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


def test_the_same_command_has_the_same_study() -> None:
    assert study_name("train", ["a=1", "b=2"]) == study_name("train", ["b=2", "a=1"])
    assert study_name("train", ["a=1"]) != study_name("train", ["a=2"])


def test_a_study_is_gone_on_with(storage: str) -> None:
    first = open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2"))
    first.ask()
    again = open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2"))
    assert len(again.trials) == 1


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["x=1,2,3", "y=1"], "space: {'x': '1,2'} then, {'x': '1,2,3'} now"),
        (["x=1,2", "y=2"], "overrides: ['y=1'] then, ['y=2'] now"),
    ],
)
def test_a_study_that_was_begun_otherwise_is_named(storage: str, overrides: list[str], said: str) -> None:
    open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2", "y=1"))
    with pytest.raises(ValueError, match="study s was begun otherwise") as error:
        open_study("s", storage, ["maximize"], ["best_score"], space(*overrides))
    assert said in str(error.value)


def test_an_unknown_study_is_named_with_those_there_are(storage: str) -> None:
    open_study("mine", storage, ["maximize"], ["best_score"], space("x=1,2"))
    assert load_study("mine", storage).study_name == "mine"
    with pytest.raises(ValueError, match=r"study=mien: no such study in .*; accepted: mine"):
        load_study("mien", storage)


def test_a_trial_belongs_to_the_process_that_took_it(storage: str) -> None:
    study = open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2"))
    take(study.ask(), ["x=1"])
    assert abandoned_trials(study) == []
    assert study.trials[0].user_attrs[OVERRIDES] == ["x=1"]


def test_a_trial_whose_sweeper_is_gone_is_abandoned(storage: str) -> None:
    study = open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2"))
    study.ask()  # killed before it was taken
    study.ask().set_user_attr(SWEEPER, GONE)
    assert [trial.number for trial in abandoned_trials(study)] == [0, 1]
    assert not is_waiting_for_orphans(study)


def test_a_trial_whose_job_still_runs_is_waited_for(storage: str) -> None:
    study = open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2"))
    trial = study.ask()
    trial.set_user_attr(SWEEPER, GONE)
    trial.set_user_attr(WORKER, this_process())
    assert abandoned_trials(study) == []
    assert is_waiting_for_orphans(study)
    trial.set_user_attr(WORKER, GONE)
    assert [trial.number for trial in abandoned_trials(study)] == [0]


@pytest.mark.parametrize("role", [SWEEPER, WORKER])
def test_a_trial_of_another_machine_is_abandoned_when_it_gives_no_sign(
    storage: str, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unroll.sweep.heartbeat.GRACE", 1)
    study = open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2"))
    trial = study.ask()
    take(trial, ["x=1"])
    trial.set_user_attr(SWEEPER, GONE)
    trial.set_user_attr(role, this_process() | {"host": "elsewhere"})
    assert abandoned_trials(study) == []
    assert is_waiting_for_orphans(study) == (role == WORKER)
    time.sleep(3)  # the database's clock counts whole seconds
    assert [trial.number for trial in abandoned_trials(study)] == [0]
    assert not is_waiting_for_orphans(study)


def test_of_equal_trials_the_first_is_the_best_one(storage: str) -> None:
    study = open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2"))
    assert best_trials(study) == []
    for _ in range(2):
        study.tell(study.ask(), 0.5)
    assert [trial.number for trial in best_trials(study)] == [0]


def test_a_finished_trial_is_not_abandoned(storage: str) -> None:
    study = open_study("s", storage, ["maximize"], ["best_score"], space("x=1,2"))
    study.ask().set_user_attr(SWEEPER, GONE)
    study.tell(0, state=TrialState.FAIL)
    assert abandoned_trials(study) == []
