"""Texts with any number of labels, from raw rows to encoded splits."""

from pathlib import Path
from typing import Any

import pytest

from tests.data.raw import LENIENT, write_raw
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import Source
from unroll.files import read_json

NEWS = Source("multilabel", "acme/news", {"text": "text", "labels": "topics"})
TOPICS: list[Any] = [["sport"], [], ["weather", "sport"], ["law"]]


def raw_news(folder: Path, topics: list[Any], names: list[str] | None = None) -> Path:
    columns = {"text": [f"text {i}" for i in range(len(topics))], "topics": topics}
    other = {"text": ["one", "two"], "topics": [topics[0], topics[0]]}
    return write_raw(folder, {"train": columns, "validation": other, "test": other}, names)


def test_each_text_has_a_row_of_the_labels(tmp_path: Path) -> None:
    prepare(NEWS, raw_news(tmp_path / "raw", TOPICS), tmp_path / "out", PrepareOptions())
    data = PreparedData(tmp_path / "out")
    assert data.label_names == ["law", "sport", "weather"]
    assert data.split("train").labels.tolist() == [
        [False, True, False], [False, False, False], [False, True, True], [True, False, False]
    ]  # fmt: skip


def test_declared_labels_may_stand_by_number(tmp_path: Path) -> None:
    prepare(NEWS, raw_news(tmp_path / "raw", [[1], [0, 1]], ["law", "sport"]), tmp_path / "out", PrepareOptions())
    assert PreparedData(tmp_path / "out").split("train").labels.tolist() == [[False, True], [True, True]]


def test_labels_are_counted_in_the_report(tmp_path: Path) -> None:
    prepare(NEWS, raw_news(tmp_path / "raw", TOPICS), tmp_path / "out", PrepareOptions())
    report = read_json(tmp_path / "out" / "report.json")
    assert report["splits"]["train"]["labels"] == {"law": 1, "sport": 2, "weather": 1}
    assert "assigned labels by label" in (tmp_path / "out" / "report.html").read_text().lower()


@pytest.mark.parametrize(("value", "reason"), [(None, "missing labels"), (["law", None], "missing label")])
def test_labels_that_are_missing_are_quarantined(tmp_path: Path, value: Any, reason: str) -> None:
    raw = raw_news(tmp_path / "raw", [["law"], value, ["law"]])
    assert prepare(NEWS, raw, tmp_path / "out", LENIENT)["quarantined"]["train"] == {reason: 1}


def test_an_unknown_label_is_quarantined(tmp_path: Path) -> None:
    raw = raw_news(tmp_path / "raw", [["law"], ["laws"], ["law"]], ["law"])
    assert prepare(NEWS, raw, tmp_path / "out", LENIENT)["quarantined"]["train"] == {"unknown label 'laws'": 1}


def test_a_label_that_is_no_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="column 'topics' of acme/news contains no list with a label"):
        prepare(NEWS, raw_news(tmp_path / "raw", ["law", "sport"]), tmp_path / "out", PrepareOptions())


def test_lists_of_labels_in_classification_name_the_task_that_takes_them(tmp_path: Path) -> None:
    source = Source("classification", "acme/news", {"text": "text", "label": "topics"})
    with pytest.raises(ValueError, match=r"contains lists of labels; .* dataset\.task=multilabel"):
        prepare(source, raw_news(tmp_path / "raw", TOPICS), tmp_path / "out", PrepareOptions())


def test_pieces_of_a_long_text_and_a_limit_keep_the_labels(tmp_path: Path) -> None:
    options = PrepareOptions(max_length=1, too_long="split", limit=3)
    prepare(NEWS, raw_news(tmp_path / "raw", TOPICS), tmp_path / "out", options)
    split = PreparedData(tmp_path / "out").split("train")
    assert len(split.rows) == 6
    assert (split.labels[::2] == split.labels[1::2]).all()


def test_validation_is_carved_from_train_with_its_labels(tmp_path: Path) -> None:
    topics = [["sport"] if i % 2 else [] for i in range(20)]
    columns = {"text": [f"text {i}" for i in range(20)], "topics": topics}
    raw = write_raw(tmp_path / "raw", {"train": columns, "test": columns}, ["sport"])
    prepare(NEWS, raw, tmp_path / "out", PrepareOptions())
    split = PreparedData(tmp_path / "out").split("validation")
    assert split.labels[:, 0].tolist() == [bool(row % 2) for row in split.rows]
