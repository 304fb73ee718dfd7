"""Entities given by their characters in a raw text."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.raw import LENIENT, OPTIONS
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import Source

TEXT = "In New York<br />Ada  smiled."
NEW_YORK = {"start": 3, "end": 11, "label": "LOC"}
ADA = {"start": 17, "end": 20, "label": "PER"}
GOOD = {"text": TEXT, "spans": [ADA, NEW_YORK]}


def prepared(folder: Path, *rows: dict[str, Any], options: PrepareOptions = OPTIONS) -> PreparedData:
    """Prepared data with the given rows in the test split."""
    (folder / "hub").mkdir()
    for split, content in (("train", [GOOD]), ("validation", [GOOD]), ("test", list(rows))):
        (folder / "hub" / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in content))
    source = Source("labeling", str(folder / "hub"), {"text": "text", "spans": "spans"})
    download(source, folder / "raw")
    prepare(source, folder / "raw", folder / "out", options)
    return PreparedData(folder / "out")


def test_spans_become_tags_of_the_tokens(tmp_path: Path) -> None:
    data = prepared(tmp_path, GOOD)
    assert data.label_names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert [data.label_names[i] for i in data.split("test").labels] == ["O", "B-LOC", "I-LOC", "B-PER", "O", "O"]


def test_white_space_around_the_label_of_a_span_does_not_matter(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"text": TEXT, "spans": [{**ADA, "label": " PER "}]})
    assert [data.label_names[i] for i in data.split("test").labels] == ["O", "O", "O", "B-PER", "O", "O"]


def test_a_text_without_entities_is_all_outside(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"text": "nothing here", "spans": []}, GOOD)
    assert data.split("test").labels.tolist()[:2] == [0, 0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": TEXT, "spans": [{**ADA, "end": 19}]}, "a span does not begin and end with a token"),
        ({"text": TEXT, "spans": [{**ADA, "start": 20, "end": 17}]}, "a span does not begin and end with a token"),
        ({"text": TEXT, "spans": [{**ADA, "end": 2000}]}, "a span does not begin and end with a token"),
        ({"text": TEXT, "spans": [NEW_YORK, {**NEW_YORK, "start": 7}]}, "spans overlap"),
        ({"text": TEXT, "spans": [{**ADA, "label": "DOG"}]}, "unknown label 'B-DOG'"),
        ({"text": TEXT, "spans": None}, "missing spans"),
        ({"text": "", "spans": []}, "empty text"),
    ],
)
def test_spans_that_cannot_be_used_are_quarantined(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    data = prepared(tmp_path, GOOD, row, options=LENIENT)
    assert data.description["quarantined"]["test"] == {reason: 1}
