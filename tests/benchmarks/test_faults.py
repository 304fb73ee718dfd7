"""The judgement of the campaign of faults, which itself takes minutes: `python -m benchmarks.faults`."""

import random
from pathlib import Path

import pytest

from benchmarks.faults.__main__ import table
from benchmarks.faults.damage import Case, Outcome, judge
from benchmarks.faults.kills import kill_summary
from benchmarks.faults.kinds import CONTENTS, FLIPPED, FOLDER, KINDS, NOT_TEXT, damage, kinds_of
from benchmarks.faults.workplace import Ended

DAMAGED = "error: data/raw/x/train.parquet is damaged (its checksum has changed): recreate it with python x.py"
LOST = "SILENT CHANGE", False


def case(file: str, kind: str = FLIPPED, command: str = "prepare") -> Case:
    return Case(command, Path(file), kind, 0, Path())


@pytest.mark.parametrize(
    ("status", "printed", "is_expected", "outcome"),
    [
        (1, DAMAGED, False, ("named and refused", True)),
        (0, "done", True, ("unaffected, same result", True)),
        (0, "last.ckpt is damaged: starting over", True, ("made again, same result", True)),
        (0, "x: 1 of 2 runs to be trained", True, ("made again, same result", True)),
        (0, "x: 0 of 2 runs to be trained", True, ("unaffected, same result", True)),
        (0, "done", False, LOST),
        (0, "train.parquet is damaged", False, LOST),
        (1, f"{DAMAGED}\nTraceback (most recent call last):", False, ("TRACEBACK", False)),
        (1, "error: something is damaged", False, ("FILE NOT NAMED", False)),
        (1, "error: train.parquet: 'utf-8' codec can't decode byte 0xff", False, ("UNCLEAR MESSAGE", False)),
        (1, "error: train.parquet: allow_pickle=False", False, ("UNCLEAR MESSAGE", False)),
        (-11, "train.parquet", False, ("UNCLEAR MESSAGE", False)),
    ],
)
def test_an_outcome_is_good_if_the_file_is_named_or_the_result_is_the_same(
    status: int, printed: str, is_expected: bool, outcome: tuple[str, bool]
) -> None:
    assert judge(Ended(status, printed), is_expected, case("data/train.parquet"), set()) == outcome


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (FLIPPED, ("accepted as another input", True)),
        ("cut", ("accepted as another input", True)),
        ("emptied", LOST),
        (NOT_TEXT, LOST),
        (FOLDER, LOST),
    ],
)
def test_what_a_user_writes_may_be_another_input_but_neither_empty_nor_no_text(
    kind: str, outcome: tuple[str, bool]
) -> None:
    assert judge(Ended(0, "done"), False, case("conf/train.yaml", kind), set()) == outcome


def test_a_configuration_is_named_by_the_key_in_the_error_too() -> None:
    ended, of = Ended(1, "1 run\nerror: patienze: unknown key"), case("conf/train.yaml")
    assert judge(ended, False, of, {"patience", "patienze"}) == ("named and refused", True)
    assert judge(ended, False, of, {"run", "unkno"}) == ("FILE NOT NAMED", False)


@pytest.mark.parametrize(
    ("command", "kind", "status", "outcome"),
    [
        ("register", FLIPPED, 0, ("unnoticed by SQLite, another result", True)),
        ("register", FLIPPED, 1, ("unnoticed by SQLite, refused", True)),
        ("register", "cut", 0, LOST),
        ("register", "cut", 1, ("FILE NOT NAMED", False)),
        ("train", FLIPPED, 0, LOST),
        ("train", FLIPPED, 1, ("unnoticed by SQLite, refused", True)),
    ],
)
def test_a_flipped_byte_of_a_database_may_change_only_what_comes_from_it(
    command: str, kind: str, status: int, outcome: tuple[str, bool]
) -> None:
    assert judge(Ended(status, "error: no run"), False, case("mlflow.db", kind, command), set()) == outcome


@pytest.mark.parametrize("file", ["models/x/1/model/sha256.json", "dvc.lock"])
def test_a_changed_checksum_is_named_by_what_it_belongs_to(file: str) -> None:
    ended = Ended(1, "error: train@x is not up to date (conf/evaluate.yaml); first: dvc repro")
    assert judge(ended, False, case(file), set()) == ("named and refused", True)
    assert judge(ended, False, case("conf/train.yaml"), set()) == ("FILE NOT NAMED", False)


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_damage_changes_the_content(kind: str) -> None:
    content = b"forty bytes of text, as a file has them."
    for seed in range(200):
        damaged = CONTENTS[kind](content, random.Random(seed))
        assert damaged != content
        assert damaged == CONTENTS[kind](content, random.Random(seed))
        change = {FLIPPED: [0], NOT_TEXT: [1]}.get(kind, range(-len(content), 0))
        assert len(damaged) - len(content) in change
        assert kind != NOT_TEXT or NOT_TEXT not in kinds_of(damaged)


def test_a_file_has_the_kinds_of_damage_that_change_it() -> None:
    assert kinds_of(b"text") == list(KINDS)
    assert kinds_of(b"\xff\xfe") == [kind for kind in KINDS if kind != NOT_TEXT]
    assert kinds_of(b"1") == [kind for kind in KINDS if kind != "cut"]
    assert kinds_of(b"") == [FOLDER]


def test_a_folder_takes_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    assert damage(tmp_path / "file", FOLDER, random.Random(0)) == b""
    assert (tmp_path / "file").is_dir()


def test_the_table_counts_outcomes_by_command_and_fault() -> None:
    outcomes = [Outcome("train", "cut", "named and refused", True)] * 2 + [Outcome("train", "cut", "TRACEBACK", False)]
    assert table(outcomes).splitlines()[2:] == [
        "| train | cut | named and refused | 2 |",
        "| train | cut | TRACEBACK | 1 |",
    ]


def killed(resumed: int, others: int, equal: int = 1, lost: int = 0) -> list[Outcome]:
    return [
        *[Outcome("train", "killed", "killed after resuming", True)] * resumed,
        *[Outcome("train", "killed", "killed", True)] * others,
        *[Outcome("train", "not killed", "ended after resuming, same result", True)] * equal,
        *[Outcome("train", "not killed", "LOSS", False)] * lost,
    ]


def test_the_kills_are_summed_up_in_a_line() -> None:
    assert kill_summary(killed(resumed=4, others=6, equal=2)) == (
        "10 kills: 6 trainings resumed from a checkpoint (4 or more are wanted), 0 lost; 2 of 2 that ended have the "
        "weights, the history and the facts of the undisturbed one",
        True,
    )


@pytest.mark.parametrize("outcomes", [killed(1, 9), killed(5, 5, lost=1)], ids=["few resumed", "a loss"])
def test_a_campaign_that_loses_work_or_hardly_ever_resumes_fails(outcomes: list[Outcome]) -> None:
    assert not kill_summary(outcomes)[1]
