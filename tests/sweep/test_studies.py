import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from optuna.trial import TrialState, create_trial

from tests.sweep.spaces import space
from unroll.sweep.studies import best_trials, load_study, open_study, study_name

SEARCH = {"sampler": {"seed": 0}, "pruner": {}}


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


def test_the_same_command_has_the_same_study() -> None:
    name = study_name("train", ["a=1", "b=2"], SEARCH)
    assert study_name("train", ["b=2", "a=1"], SEARCH) == name
    assert study_name("train", ["a=1", "b=3"], SEARCH) != name
    assert study_name("train", ["a=1", "b=2"], SEARCH | {"sampler": {"seed": 7}}) != name


def test_each_objective_has_its_own_direction(storage: str) -> None:
    study = open_study("s", storage, ["best_score", "parameters", "height"], space("x=1,2"), SEARCH)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE", "MAXIMIZE"]


def test_a_study_is_resumed(storage: str) -> None:
    first = open_study("s", storage, ["best_score"], space("x=1,2"), SEARCH)
    first.ask()
    again = open_study("s", storage, ["best_score"], space("x=1,2"), SEARCH)
    assert len(again.trials) == 1


@pytest.mark.parametrize(
    ("overrides", "seed", "change"),
    [
        (["x=1,2,3", "y=1"], 0, "space: {'x': '1,2'} before, {'x': '1,2,3'} now"),
        (["x=1,2", "y=1"], 7, "sampler: {'seed': 0} before, {'seed': 7} now"),
        (["x=1,2", "y=2"], 0, "overrides: ['y=1'] before, ['y=2'] now"),
    ],
)
def test_a_study_with_other_settings_is_refused(storage: str, overrides: list[str], seed: int, change: str) -> None:
    open_study("s", storage, ["best_score"], space("x=1,2", "y=1"), SEARCH)
    with pytest.raises(ValueError, match=r"hydra\.sweeper\.study=s: the study exists with other settings") as error:
        open_study("s", storage, ["best_score"], space(*overrides), SEARCH | {"sampler": {"seed": seed}})
    assert change in str(error.value)


def test_an_unknown_study_is_named_with_those_there_are(storage: str) -> None:
    open_study("mine", storage, ["best_score"], space("x=1,2"), SEARCH)
    assert load_study("mine", storage).study_name == "mine"
    with pytest.raises(ValueError, match=r"study=mien: no such study in .*; accepted: mine"):
        load_study("mien", storage)


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        ("cut", "database disk image is malformed"),
        ("header", "file is not a database"),
        ("folder", "unable to open database file"),
        ("update trials set state = 'COMPLETF'", "'COMPLETF' is not among the defined enum values"),
        ("update trial_user_attributes set value_json = '[1'", "not JSON: Expecting"),
    ],
)
def test_a_damaged_storage_is_one_line_with_the_way_back(storage: str, tmp_path: Path, damage: str, cause: str) -> None:
    study, file = open_study("s", storage, ["best_score"], space("x=1,2"), SEARCH), tmp_path / "studies.db"
    study.add_trial(create_trial(state=TrialState.COMPLETE, value=1.0, user_attrs={"overrides": []}))
    content = file.read_bytes()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    elif damage == "cut":
        file.write_bytes(content[:20000])
    elif damage == "header":
        file.write_bytes(b"x" * 100 + content[100:])
    else:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(damage)
            connection.commit()
    said = f"hydra.sweeper.storage={storage!r} cannot be used: "
    line = rf"^{re.escape(said)}.*{re.escape(cause)}[^\n]*: move it away, and sweep again$"
    for read in (
        lambda: load_study("s", storage),
        lambda: open_study("s", storage, ["best_score"], space("x=1,2"), SEARCH),
    ):
        with pytest.raises(ValueError, match=line):
            read()


def test_of_equal_trials_the_first_is_the_best_one(storage: str) -> None:
    study = open_study("s", storage, ["best_score"], space("x=1,2"), SEARCH)
    assert best_trials(study) == []
    for _ in range(2):
        study.tell(study.ask(), 0.5)
    assert [trial.number for trial in best_trials(study)] == [0]
