from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.data.raw import read_rows, rows_of, tags_of, tokens_of
from unroll.data.prepare.labels import Labels, TagLabels
from unroll.data.prepare.split_rows import SplitRows
from unroll.data.raw import sample_texts
from unroll.data.source import Source
from unroll.data.tokenizer import Tokenizer

REVIEWS = Source("classification", "acme/reviews", {"text": "body", "label": "stars"})
ENTITIES = Source("labeling", "acme/news", {"tokens": "words", "labels": "tags"})
TAGS = ["O", "B-LOC", "I-LOC"]
tokenize = Tokenizer().tokenize


def write(path: Path, **columns: list[Any] | pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def read_sentences(path: Path, words: Any, tags: Any) -> SplitRows:
    return read_rows(write(path, words=words, tags=tags), ENTITIES, TagLabels(TAGS, "iob2"))


def test_texts_are_tokenised_and_labels_numbered(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.parquet", stars=["good", "bad", "good"], body=["It's fun!", "no", "fun no"], extra=[1, 2, 3]
    )
    rows = read_rows(path, REVIEWS, Labels(["bad", "good"]))
    assert list(rows.corpus.distinct) == ["It's", "fun", "!", "no"]
    assert tokens_of(rows) == [[1, 2, 3], [4], [2, 4]]
    assert rows.labels.tolist() == [1, 0, 1]
    assert rows.rows.tolist() == [0, 1, 2]
    assert rows.quarantined == []


def test_tokens_stay_as_they_are_and_each_has_its_label(tmp_path: Path) -> None:
    rows = read_sentences(tmp_path / "x.parquet", [["in", "New York"], ["in"]], [[0, 1], [0]])
    assert tokens_of(rows) == [[1, 2], [1]]
    assert tags_of(rows) == [[0, 1], [0]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "missing text"),
        ("", "empty text"),
        (" \n", "empty text"),
        ("<br />", "empty text"),
    ],
)
def test_a_text_that_cannot_be_used_is_quarantined(tmp_path: Path, text: str | None, reason: str) -> None:
    path = write(tmp_path / "x.parquet", body=["fine", text, "fine"], stars=[0, 0, 1])
    rows = read_rows(path, REVIEWS, Labels(["bad", "good"]))
    assert rows.quarantined == [(1, reason)]
    assert rows.rows.tolist() == [0, 2]
    assert rows.labels.tolist() == [0, 1]
    assert rows.lengths.tolist() == [1, 1]


def test_a_text_that_is_no_string_is_quarantined(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", body=[1, 2], stars=[0, 1])
    rows = read_rows(path, REVIEWS, Labels(["bad", "good"]))
    assert rows.quarantined == [(row, "text is not a string but int") for row in (0, 1)]
    assert len(rows) == len(rows.labels) == rows.num_tokens == 0
    assert tokens_of(rows) == []


@pytest.mark.parametrize(
    ("stars", "reason"),
    [
        ([0, None], "missing label"),
        ([0, -1], "unknown label -1"),
        ([0, 2], "unknown label 2"),
        (["bad", "fair"], "unknown label 'fair'"),
        (["bad", "0"], "unknown label '0'"),
    ],
)
def test_a_label_that_cannot_be_used_is_quarantined(tmp_path: Path, stars: list[Any], reason: str) -> None:
    path = write(tmp_path / "x.parquet", body=["fine", "fine"], stars=stars)
    rows = read_rows(path, REVIEWS, Labels(["bad", "good"]))
    assert rows.quarantined == [(1, reason)]
    assert rows.rows.tolist() == [0]


def test_accents_written_apart_are_joined_in_given_tokens(tmp_path: Path) -> None:
    rows = read_sentences(tmp_path / "x.parquet", [["cafe\u0301"], ["café"]], [[0], [0]])
    assert tokens_of(rows) == [[1], [1]]


@pytest.mark.parametrize(
    ("words", "tags", "reason"),
    [
        (None, [0], "no tokens"),
        ([], [], "no tokens"),
        (["a", ""], [0, 0], "tokens are not all non-empty strings"),
        (["a", None], [0, 0], "tokens are not all non-empty strings"),
        (["a"], None, "missing labels"),
        (["a", "b"], [0], "tokens and labels differ in number"),
        (["a"], [0, 0], "tokens and labels differ in number"),
        (["a", "b"], [0, None], "missing label"),
        (["a", "b"], [0, 3], "unknown label 3"),
        (["a", "b"], [-1, 0], "unknown label -1"),
    ],
)
def test_a_sentence_that_cannot_be_used_is_quarantined(tmp_path: Path, words: Any, tags: Any, reason: str) -> None:
    rows = read_sentences(tmp_path / "x.parquet", [words, ["fine"]], [tags, [1]])
    assert rows.quarantined == [(0, reason)]
    assert rows.rows.tolist() == [1]
    assert tags_of(rows) == [[1]]


def test_columns_of_other_kinds_are_quarantined(tmp_path: Path) -> None:
    assert read_sentences(tmp_path / "a.parquet", ["plain text"], [[0]]).count_reasons() == {
        "tokens are not all non-empty strings": 1
    }
    assert read_sentences(tmp_path / "b.parquet", [["a"]], [0]).count_reasons() == {"missing labels": 1}


def test_reasons_are_counted_the_most_frequent_first(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", body=[None, "", "ok", ""], stars=[0] * 4)
    rows = read_rows(path, REVIEWS, Labels(["bad"]))
    assert list(rows.count_reasons().items()) == [("empty text", 2), ("missing text", 1)]


texts = st.none() | st.text(max_size=8)
stars = st.none() | st.integers(-2, 4)


@given(st.lists(st.tuples(texts, stars), max_size=20))
def test_every_row_is_used_or_quarantined(tmp_path_factory: pytest.TempPathFactory, raw: list[Any]) -> None:
    body, labels = [text for text, _ in raw], [label for _, label in raw]
    read = {label for text, label in raw if text and tokenize(text)}
    assume(0 in read or 3 not in read)  # else they count from one, which is an error
    path = tmp_path_factory.getbasetemp() / "rows.parquet"
    write(path, body=pa.array(body, pa.string()), stars=pa.array(labels, pa.int64()))
    rows = read_rows(path, REVIEWS, Labels(["a", "b", "c"]))

    usable = [
        row for row, (text, label) in enumerate(raw) if text and tokenize(text) and label is not None and 0 <= label < 3
    ]
    assert rows.rows.tolist() == usable
    assert [row for row, _ in rows.quarantined] == [row for row in range(len(raw)) if row not in usable]
    assert rows.labels.tolist() == [labels[row] for row in usable]
    words = list(rows.corpus.distinct)
    for row, tokens in zip(usable, tokens_of(rows), strict=True):
        assert [words[i - 1] for i in tokens] == tokenize(body[row])


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
def test_take_keeps_each_chosen_row_whole(lengths: list[int], data: st.DataObject) -> None:
    chosen = sorted(data.draw(st.lists(st.sampled_from(range(len(lengths))), unique=True)))
    sequences = [[10 * i + j for j in range(length)] for i, length in enumerate(lengths)]
    with_tags = rows_of(sequences, tags=sequences).take(np.array(chosen, np.int64))
    assert tokens_of(with_tags) == tags_of(with_tags) == [sequences[i] for i in chosen]
    with_labels = rows_of(sequences, list(range(len(lengths)))).take(np.array(chosen, np.int64))
    assert with_labels.labels is not None
    assert with_labels.labels.tolist() == with_labels.rows.tolist() == chosen
    assert tokens_of(with_labels) == [sequences[i] for i in chosen]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(1, 8))
def test_blocks_of_any_size_hold_the_same(lengths: list[int], size: int) -> None:
    sequences = [[10 * i + j for j in range(length)] for i, length in enumerate(lengths)]
    rows = rows_of(sequences, tags=sequences)
    with patch("unroll.data.prepare.split_rows.BLOCK", size):
        assert tokens_of(rows) == tags_of(rows) == sequences
        assert all(len(block.values) <= max(size, 5) for block in rows.blocks())


def test_tags_of_another_scheme_become_iob2(tmp_path: Path) -> None:
    source = replace(ENTITIES, tag_scheme="io")
    path = write(tmp_path / "x.parquet", words=[["in", "New", "York"], ["in"]], tags=[["O", "LOC", "LOC"], ["O"]])
    labels = Labels.of(source, None, path)
    assert labels.names == ["O", "B-LOC", "I-LOC"]
    assert tags_of(read_rows(path, source, labels)) == [[0, 1, 2], [0]]


def test_tags_that_cannot_follow_each_other_are_quarantined(tmp_path: Path) -> None:
    rows = read_sentences(tmp_path / "x.parquet", [["in", "Rio"], ["in", "Rio"]], [["O", "I-LOC"], ["O", "B-LOC"]])
    assert rows.quarantined == [(0, "invalid tag sequence: I-LOC after O")]
    assert rows.rows.tolist() == [1]


def test_class_names_need_not_be_iob2(tmp_path: Path) -> None:
    assert Labels.of(REVIEWS, ["O", "PER"], tmp_path / "not read").names == ["O", "PER"]


def test_sample_texts_are_the_first_that_can_be_used(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", body=[None, "", "one", "  ", "two", "three", "four"], stars=[0] * 7)
    assert sample_texts(tmp_path, REVIEWS) == ["one", "two", "three"]
    assert sample_texts(tmp_path, REVIEWS, count=1) == ["one"]


def test_sample_sentences_are_the_first_usable_lists_of_tokens(tmp_path: Path) -> None:
    words = [None, [], ["a", None], ["in", "Oslo", "."], ["!"]]
    write(tmp_path / "train.parquet", words=words, tags=[None, [], [0, 0], [0, 1, 0], [0]])
    assert sample_texts(tmp_path, ENTITIES) == [["in", "Oslo", "."], ["!"]]


def test_sample_texts_of_nothing_is_an_error_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pipelines/download\.py dataset=NAME output="):
        sample_texts(tmp_path / "reviews", REVIEWS)
