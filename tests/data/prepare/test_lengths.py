"""Truncating and splitting long sequences."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.raw import ENTITIES, REVIEWS, TAGS, raw_reviews, rows_of, tags_of, texts, tokens_of, words_of, write_raw
from unroll.data.prepare.lengths import limit_length
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.tags import spans
from unroll.files import read_json

INSIDE = np.array([name.startswith("I-") for name in TAGS])
LONG = texts("one two three four five", "one two", labels=[1, 0])


def prepared(folder: Path, **options: object) -> PreparedData:
    raw = raw_reviews(folder / "raw", train=LONG)
    prepare(REVIEWS, raw, folder / "out", PrepareOptions(**options))  # type: ignore[arg-type]
    return PreparedData(folder / "out")


def test_a_long_text_keeps_its_first_tokens(tmp_path: Path) -> None:
    data = prepared(tmp_path, max_length=3)
    assert words_of(data, "train") == [["one", "two", "three"], ["one", "two"]]
    assert "four" not in data.schema.vocabulary


def test_a_long_text_becomes_several_of_its_label(tmp_path: Path) -> None:
    data = prepared(tmp_path, max_length=2, too_long="split")
    assert words_of(data, "train") == [["one", "two"], ["three", "four"], ["five"], ["one", "two"]]
    split = data.split("train")
    assert (split.labels.tolist(), split.rows.tolist()) == ([1, 1, 1, 0], [0, 0, 0, 1])


def test_long_texts_are_counted_and_their_rows_once(tmp_path: Path) -> None:
    data = prepared(tmp_path, max_length=2, too_long="split")
    report = read_json(data.folder / "report.json")["splits"]["train"]
    assert {name: report[name] for name in ("rows_read", "rows_used", "sequences", "too_long")} == {
        "rows_read": 2, "rows_used": 2, "sequences": 4, "too_long": 1
    }  # fmt: skip


sentences = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=1, max_size=4)


@given(sentences, st.integers(3, 6))
def test_pieces_hold_every_token_and_every_entity(entities: list[list[int]], max_length: int) -> None:
    tags = [[label for size in sentence for label in (0, 1, *[2] * (size - 1))] for sentence in entities]
    numbers = [[10 * row + i for i in range(len(sentence))] for row, sentence in enumerate(tags)]
    cut = limit_length(rows_of(numbers, tags=tags), max_length, "split", INSIDE)

    tokens, labels = tokens_of(cut), tags_of(cut)
    assert list(chain(*tokens)) == list(chain(*numbers))
    assert cut.lengths.max() <= max_length
    pieces = [[TAGS[i] for i in piece] for piece in labels]
    whole = [[TAGS[i] for i in sentence] for sentence in tags]
    assert sum(len(spans(piece)) for piece in pieces) == sum(len(spans(sentence)) for sentence in whole)
    for row, sentence in enumerate(whole):
        assert list(chain.from_iterable(pieces[i] for i in np.flatnonzero(cut.rows == row))) == sentence


def test_an_entity_longer_than_a_piece_is_an_error(tmp_path: Path) -> None:
    columns = {"tokens": [["New", "York", "City"]], "tags": [[1, 2, 2]]}
    raw = write_raw(tmp_path / "raw", dict.fromkeys(("train", "validation", "test"), columns), TAGS)
    with pytest.raises(ValueError, match="max_length=2: row 0 has a longer entity; accepted: at least its length"):
        prepare(ENTITIES, raw, tmp_path / "out", PrepareOptions(max_length=2, too_long="split"))


def test_a_length_of_none_is_named() -> None:
    with pytest.raises(ValueError, match="max_length=0; accepted: 1 or more, or null for no limit"):
        PrepareOptions(max_length=0)
