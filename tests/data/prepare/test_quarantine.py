"""Handling of rows that cannot be used; for the reasons see test_rows.py."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.raw import LENIENT, OPTIONS, REVIEWS, raw_reviews, texts, write_raw
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData


def test_unusable_rows_are_in_the_quarantine_with_their_reason(tmp_path: Path) -> None:
    raw = raw_reviews(
        tmp_path / "raw",
        train=texts("one", "", "two", "three", labels=[0, 0, None, 1]),
        test=texts("four", "five", labels=[1, 7]),
    )
    description = prepare(REVIEWS, raw, tmp_path / "out", LENIENT)
    assert pq.read_table(tmp_path / "out" / "quarantine.parquet").to_pylist() == [
        {"split": "train", "row": 1, "reason": "empty text", "content": '{"text": "", "label": 0}'},
        {"split": "train", "row": 2, "reason": "missing label", "content": '{"text": "two", "label": null}'},
        {"split": "test", "row": 1, "reason": "unknown label 7", "content": '{"text": "five", "label": 7}'},
    ]
    assert description["quarantined"] == {
        "train": {"empty text": 1, "missing label": 1},
        "validation": {},
        "test": {"unknown label 7": 1},
    }
    assert PreparedData(tmp_path / "out").split("train").rows.tolist() == [0, 3]


def test_the_quarantine_of_clean_data_is_empty(tmp_path: Path) -> None:
    prepare(REVIEWS, raw_reviews(tmp_path / "raw"), tmp_path / "out", PrepareOptions(max_bad_share=0))
    quarantine = pq.read_table(tmp_path / "out" / "quarantine.parquet")
    assert quarantine.num_rows == 0
    assert quarantine.schema.names == ["split", "row", "reason", "content"]


def test_too_many_unusable_rows_stop_the_stage(tmp_path: Path) -> None:
    test = texts("ok", "", None, "ok", labels=[0, 0, 0, -1])
    with pytest.raises(ValueError) as error:
        prepare(REVIEWS, raw_reviews(tmp_path / "raw", test=test), tmp_path / "out", LENIENT)
    for part in (
        "split 'test' of acme/reviews: 3 of 4 rows cannot be used",
        "max_bad_share=0.5",
        "1 empty text, 1 missing text, 1 unknown label -1",
        "first: row 1, empty text",
        "accepted labels: bad, good",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "out").exists()


def test_as_many_unusable_rows_as_accepted_do_not_stop_it(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", test=texts("ok", "", "ok", None))
    description = prepare(REVIEWS, raw, tmp_path / "out", LENIENT)
    assert description["splits"]["test"]["rows"] == 2


def test_a_message_names_no_more_than_five_reasons(tmp_path: Path) -> None:
    train = {"text": ["x"] * 9, "label": [f"w{i}" for i in range(9)]}
    with pytest.raises(ValueError) as error:
        prepare(REVIEWS, raw_reviews(tmp_path / "raw", train=train), tmp_path / "out", OPTIONS)
    assert "1 unknown label 'w4', ...; first:" in str(error.value)


def test_a_split_without_a_usable_row_is_an_error_whatever_is_accepted(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", validation=texts("", ""))
    with pytest.raises(ValueError, match=r"'validation' of acme/reviews: 2 of 2 rows.*2 empty text"):
        prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(max_bad_share=1))


def test_a_split_without_rows_is_an_error(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", test=texts())
    with pytest.raises(ValueError, match="'test' of acme/reviews has no rows"):
        prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(max_bad_share=1))


def test_a_string_label_that_is_missing_from_train_is_quarantined(tmp_path: Path) -> None:
    columns = texts("fine", "awful", labels=["up", "down"])
    other = texts("fine", "awful", labels=["up", "sideways"])
    raw = write_raw(tmp_path / "raw", {"train": columns, "validation": columns, "test": other}, None)
    description = prepare(REVIEWS, raw, tmp_path / "out", LENIENT)
    assert description["quarantined"]["test"] == {"unknown label 'sideways'": 1}


def test_a_text_that_is_not_utf_8_is_quarantined_and_its_neighbours_are_used(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw")
    values = pa.array([b"caf\xe9", "café".encode(), b"tea"], pa.binary())
    broken = pa.StringArray.from_buffers(len(values), values.buffers()[1], values.buffers()[2])
    pq.write_table(pa.table({"text": broken, "label": [0, 1, 0]}), raw / "test.parquet")
    description = prepare(REVIEWS, raw, tmp_path / "out", LENIENT)
    assert description["quarantined"]["test"] == {"broken encoding: not UTF-8": 1}
    assert PreparedData(tmp_path / "out").split("test").rows.tolist() == [1, 2]
    (entry,) = pq.read_table(tmp_path / "out" / "quarantine.parquet").to_pylist()
    assert (entry["row"], entry["content"]) == (0, None)
