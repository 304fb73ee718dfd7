from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.tags import spans
from unroll.drift import labels
from unroll.drift.labels import NONE, LabelSet, blocks

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SENTENCES = st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=8), min_size=1, max_size=8)


def expected_shares(sentences: list[list[str]]) -> dict[str, float]:
    """One text at a time, by the reader of tags that the scores use."""
    shares: dict[str, float] = {NONE: 0, "PER": 0, "LOC": 0}
    for tags in sentences:
        types = [span.type for span in spans(tags)] or [NONE]
        for kind in types:
            shares[kind] += 1 / len(types)
    return shares


@given(SENTENCES, st.sampled_from([1, 5, 1000]))
def test_entities_are_those_that_the_scores_count_whatever_the_blocks(sentences: list[list[str]], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "BLOCK", block)
        found = LabelSet.of_names("labeling", TAGS, sentences)
        assert found.shares() == pytest.approx(expected_shares(sentences))
        inside = [np.mean([tag != "O" for tag in tags]) for tags in sentences]
        assert found.amounts() == pytest.approx(inside)


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("classification", ["a", "b", "b"]),
        ("multilabel", [["a", "b"], [], ["b"]]),
        ("labeling", [["B-PER", "I-PER", "B-LOC"], ["O"], ["B-LOC", "B-LOC"]]),
    ],
)
def test_every_text_counts_once(task: Any, values: list[Any]) -> None:
    names = TAGS if task == "labeling" else ["a", "b"]
    found = LabelSet.of_names(task, names, values)
    assert len(found) == 3
    assert sum(found.shares().values()) == pytest.approx(3)


def test_labels_that_nobody_has_are_there_with_none() -> None:
    assert LabelSet.of_names("classification", ["a", "b"], ["a"]).shares() == {"a": 1, "b": 0}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 20))
def test_blocks_are_whole_texts_and_all_of_them(lengths: list[int], block: int) -> None:
    offsets = np.cumsum([0, *lengths])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "BLOCK", block)
        found = list(blocks(offsets))
    assert [text for first, last in found for text in range(first, last)] == list(range(len(lengths)))
    assert all(offsets[last] - offsets[first] <= block or last == first + 1 for first, last in found)
