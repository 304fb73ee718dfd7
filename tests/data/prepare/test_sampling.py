"""The option `limit`; for drawing missing splits see test_carving.py."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.raw import ENTITIES, REVIEWS, TAGS, raw_reviews, rows_of, texts, write_raw
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepare.split_rows import SplitRows, limit_rows
from unroll.data.prepared import PreparedData
from unroll.files import read_json


def labelled(labels: list[int]) -> SplitRows:
    return rows_of([[i] for i in range(len(labels))], labels)


@given(st.lists(st.sampled_from([0, 0, 0, 0, 1, 2]), min_size=1, max_size=60), st.integers(1, 60), st.integers(0, 3))
def test_labels_keep_their_shares(labels: list[int], limit: int, seed: int) -> None:
    taken = limit_rows(labelled(labels), limit, seed)
    assert len(taken.rows) == min(limit, len(labels))
    assert (np.diff(taken.rows) > 0).all()
    for label in set(labels):
        share = labels.count(label) * len(taken.rows) / len(labels)
        assert abs((taken.labels == label).sum() - share) <= 1


def test_another_seed_takes_other_rows() -> None:
    labels = [0, 1] * 50
    first, same, other = (limit_rows(labelled(labels), 10, seed).rows.tolist() for seed in (1, 1, 2))
    assert first == same != other


def test_rows_beyond_the_limit_are_counted_as_left_out(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", train=texts(*(f"text {i}" for i in range(8))))
    description = prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(limit=4))
    assert {split: (facts["rows"], facts["left_out"]) for split, facts in description["splits"].items()} == {
        "train": (4, 4), "validation": (2, 0), "test": (2, 0)
    }  # fmt: skip
    report = read_json(tmp_path / "out" / "report.json")
    assert report["splits"]["train"]["rows_read"] == 8


def test_sentences_are_limited_with_their_tags(tmp_path: Path) -> None:
    columns = {"tokens": [["in", "Oslo"], ["Rio"], ["here"]], "tags": [[0, 1], [1], [0]]}
    raw = write_raw(tmp_path / "raw", dict.fromkeys(("train", "validation", "test"), columns), TAGS)
    prepare(ENTITIES, raw, tmp_path / "out", PrepareOptions(limit=1))
    split = PreparedData(tmp_path / "out").split("train")
    (row,) = split.rows
    assert split.labels.tolist() == columns["tags"][row]


def test_a_limit_of_none_is_named() -> None:
    with pytest.raises(ValueError, match="limit=0; accepted: 1 or more, or null for no limit"):
        PrepareOptions(limit=0)
