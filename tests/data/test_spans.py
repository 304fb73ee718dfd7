"""Entities given by their characters in a raw text."""

import json
from pathlib import Path
from typing import Any

import pytest

import unroll
from tests.data.raw import LENIENT, OPTIONS
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import Source
from unroll.data.spans import SpanEdges, tag_spans
from unroll.data.tokenizer import Tokenizer

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


def tagged(text: str, *spans: Any, edges: SpanEdges = "cut") -> tuple[list[tuple[str, str]], int]:
    """Each token with its tag, and the number of inexact spans."""
    offsets, tags, inexact = tag_spans(text, list(spans), Tokenizer().offsets(text), edges)
    return [(text[start:end], tag) for (start, end), tag in zip(offsets, tags, strict=True)], inexact


@pytest.mark.parametrize(
    "span",
    [
        {"start": 4, "end": 9, "label": "LOC"},
        {"start": "4", "end": "9", "label": "LOC"},
        {"start": 4.0, "end": 9.0, "label": "LOC"},
        {"start_offset": 4, "end_offset": 9, "label": "LOC"},
        {"start": 4, "end": 9, "type": "LOC"},
        {"start": 4, "end": 9, "labels": ["LOC"], "type": "labels", "text": "Limas"},  # Label Studio
        {"start": 4, "end": 9, "label": "LOC", "token_start": 1, "token_end": 1, "type": "span"},  # Prodigy
        {"start": None, "end": None, "start_offset": 4, "end_offset": "9", "label": "LOC", "id": 3},
        [4, 9, "LOC"],
        ("4", "9", "LOC"),
        [3, 10, "LOC"],  # with the spaces
        [2, 10, "LOC"],
    ],
)
def test_spans_are_read_in_every_form_without_the_spaces_at_their_ends(span: Any) -> None:
    text = "to  Lima \n." if span == [2, 10, "LOC"] else "to  Limas  ."
    found, inexact = tagged(text, span)
    assert [tag for _, tag in found] == ["O", "B-LOC", "O"]
    assert inexact == 0


@pytest.mark.parametrize(
    ("text", "span", "cut", "widened"),
    [
        ("Ada's dog", [0, 3, "PER"], [("Ada", "B-PER"), ("'s", "O"), ("dog", "O")], ["B-PER", "O"]),
        ("about 10km away", [6, 8, "NUM"], [("about", "O"), ("10", "B-NUM"), ("km", "O"), ("away", "O")], "O B-NUM O"),
        ("pre-New-Yorkers", [5, 11, "LOC"], "pre/O -/O N/O ew/B-LOC -/I-LOC Yor/I-LOC kers/O", "O O B-LOC I-LOC I-LOC"),
        ("ultramarine", [5, 7, "X"], "ultra/O ma/B-X rine/O", "B-X"),
    ],
)
def test_a_span_with_an_edge_in_a_token_cuts_it_widens_or_is_dropped(
    text: str, span: Any, cut: Any, widened: Any
) -> None:
    pairs = [tuple(it.split("/")) for it in cut.split()] if isinstance(cut, str) else cut
    assert tagged(text, span) == (pairs, 1)
    tokens = Tokenizer().tokenize(text)
    tags = widened.split() if isinstance(widened, str) else widened
    assert tagged(text, span, edges="widen") == (list(zip(tokens, tags, strict=True)), 1)
    assert tagged(text, span, edges="drop") == ([(token, "O") for token in tokens], 1)


def test_two_spans_may_share_a_token_that_is_cut() -> None:
    spans = [6, 8, "NUM"], {"start": 8, "end": 10, "label": "UNIT"}
    expected = [("about", "O"), ("10", "B-NUM"), ("km", "B-UNIT")]
    assert tagged("about 10km", *reversed(spans)) == (expected, 2)
    with pytest.raises(ValueError, match="two spans in one token"):
        tagged("about 10km", *spans, edges="widen")


def test_a_span_covers_words_of_a_script_without_spaces() -> None:
    assert tagged("我在北京大学。", [2, 6, "ORG"])[0][-3:] == [("北京", "B-ORG"), ("大学", "I-ORG"), ("。", "O")]


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        (None, "missing spans"),
        ("0-3", "spans are not a list but str"),
        ([None], "spans are not all"),
        ([[0, 3]], "spans are not all"),
        (["PER"], "spans are not all"),
        ([{"end": 3, "label": "PER"}], "a span has no start"),
        ([[0, None, "PER"]], "a span has no end"),
        ([[0, 3, None]], "a span has no label"),
        ([{"start": 0, "end": 3}], "a span has no label"),
        ([{"start": 0, "end": 3, "labels": []}], "a span has no label"),
        ([{"start": 0, "end": 3, "labels": ["PER", "LOC"]}], "a span has several labels"),
        ([[0, 3, {"id": 1}]], "the label of a span is {'id': 1}, not a name"),
        ([[0, "x", "PER"]], "the end of a span is 'x', not a number of characters"),
        ([[0.5, 3, "PER"]], "the start of a span is 0.5, not"),
        ([[float("nan"), 3, "PER"]], "the start of a span is nan, not"),
        ([[True, 3, "PER"]], "the start of a span is True, not"),
        ([[[0], 3, "PER"]], r"the start of a span is \[0\], not"),
        ([[3, 0, "PER"]], "a span ends before it starts"),
        ([[0, 80, "PER"]], "a span is not in the text"),
        ([[-1, 3, "PER"]], "a span is not in the text"),
        ([[3, 3, "PER"]], "a span is empty"),
        ([[3, 4, "PER"]], "a span is empty"),
        ([[0, 3, "PER"], [0, 3, "PER"]], "spans overlap"),
        ([[0, 7, "PER"], [4, 7, "LOC"]], "spans overlap"),
        ([[8, 12, "PER"]], "a span has no token"),
    ],
)
def test_unusable_spans_have_a_reason(spans: Any, reason: str) -> None:
    text = "Ada met <br>"
    with pytest.raises(ValueError, match=f"^{reason}"):
        tag_spans(text, spans, Tokenizer().offsets(text), "cut")


def test_lists_of_numbers_and_strings_are_read_and_inexact_spans_counted(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"text": f"{i} km to Lima's port", "spans": [[8, 12, "LOC"]]}) + "\n" for i in range(10))
    )
    data = unroll.prepare(
        tmp_path / "rows.jsonl", tmp_path / "out", "labeling", {"text": "text", "spans": "spans"}, max_bad_share=0
    )
    assert data.label_names == ["O", "B-LOC", "I-LOC"]
    assert sum(data.description["inexact_spans"].values()) == 10
    train = data.split("train")
    assert train.tags[0].tolist() == [0, 0, 0, 1, 0, 0]


def test_rows_whose_spans_cannot_be_used_are_quarantined(tmp_path: Path) -> None:
    rows = {
        "a span is not in the text": {"text": TEXT, "spans": [{**ADA, "end": 2000}]},
        "a span has no end": {"text": TEXT, "spans": [{**ADA, "end": None}]},
        "unknown label 'B-DOG'": {"text": TEXT, "spans": [{**ADA, "label": "DOG"}]},
        "missing spans": {"text": TEXT, "spans": None},
        "empty text": {"text": "", "spans": []},
    }
    data = prepared(tmp_path, *[GOOD] * 5, *rows.values(), options=LENIENT)
    assert data.description["quarantined"]["test"] == dict.fromkeys(rows, 1)
