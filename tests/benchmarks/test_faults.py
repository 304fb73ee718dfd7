"""The judgement of the campaign of faults, which itself takes minutes: `python -m benchmarks.faults`."""

import random

import pytest

from benchmarks.faults.__main__ import table
from benchmarks.faults.damage import DAMAGES, Outcome, judge
from benchmarks.faults.workplace import Ended

DAMAGED = "error: data/raw/x/train.parquet is damaged (its checksum has changed): recreate it with python x.py"


@pytest.mark.parametrize(
    ("status", "printed", "results", "expected"),
    [
        (1, DAMAGED, "", ("named and refused", True)),
        (0, "done", "same", ("unaffected, same result", True)),
        (0, "last.ckpt is damaged: starting over", "same", ("made again, same result", True)),
        (0, "done", "another", ("SILENT CHANGE", False)),
        (0, "train.parquet is damaged", "another", ("SILENT CHANGE", False)),
        (1, f"{DAMAGED}\nTraceback (most recent call last):", "", ("TRACEBACK", False)),
        (1, "error: something is damaged", "", ("FILE NOT NAMED", False)),
        (1, "error: train.parquet: 'utf-8' codec can't decode byte 0xff", "", ("UNCLEAR MESSAGE", False)),
        (1, "error: train.parquet: allow_pickle=False", "", ("UNCLEAR MESSAGE", False)),
        (-11, "train.parquet", "", ("UNCLEAR MESSAGE", False)),
    ],
)
def test_an_outcome_is_good_if_the_file_is_named_or_the_result_is_the_same(
    status: int, printed: str, results: str, expected: tuple[str, bool]
) -> None:
    assert judge(Ended(status, printed), results, "same", "train.parquet") == expected


@pytest.mark.parametrize("kind", DAMAGES)
def test_every_damage_changes_the_content(kind: str) -> None:
    content = bytes(range(40))
    for seed in range(200):
        damaged = DAMAGES[kind](content, random.Random(seed))
        assert damaged != content
        assert damaged == DAMAGES[kind](content, random.Random(seed))
        assert len(damaged) == len(content) if kind == "byte flipped" else len(damaged) < len(content)


def test_the_table_counts_outcomes_by_command_and_fault() -> None:
    outcomes = [Outcome("train", "cut", "named and refused", True)] * 2 + [Outcome("train", "cut", "TRACEBACK", False)]
    assert table(outcomes).splitlines()[2:] == [
        "| train | cut | named and refused | 2 |",
        "| train | cut | TRACEBACK | 1 |",
    ]
