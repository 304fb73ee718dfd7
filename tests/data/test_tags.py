from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from unroll.data.tags import Span, check_tag_names, spans

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-geo-pol", "I-geo-pol"]
sentences = st.lists(st.sampled_from(TAGS), max_size=12)


def test_spans_of_an_iob2_sentence() -> None:
    tags = ["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-LOC"]
    assert spans(tags) == [Span("PER", 0, 2), Span("LOC", 3, 4), Span("LOC", 4, 6)]


def test_inside_after_outside_opens_a_span() -> None:
    assert spans(["O", "I-PER", "I-PER"]) == [Span("PER", 1, 3)]


def test_inside_of_another_type_opens_a_span() -> None:
    assert spans(["B-PER", "I-LOC"]) == [Span("PER", 0, 1), Span("LOC", 1, 2)]


def test_type_may_hold_a_hyphen() -> None:
    assert spans(["B-geo-pol", "I-geo-pol"]) == [Span("geo-pol", 0, 2)]


def test_no_tags_no_spans() -> None:
    assert spans([]) == []


@given(sentences)
def test_spans_equal_seqeval_default_mode(tags: list[str]) -> None:
    expected = [Span(name, first, last + 1) for name, first, last in get_entities(tags)]
    assert spans(tags) == expected


def conlleval_spans(tags: list[str]) -> list[Span]:
    """The script's own two questions, asked between every two tokens: does a chunk end, does one start?"""
    found, start = [], 0
    for position, (before, here) in enumerate(pairwise(["O", *tags, "O"])):
        before_type, here_type = before[2:], here[2:]
        pair = before[0] + here[0]
        if pair in ("BB", "BO", "IB", "IO") or (before != "O" and before_type != here_type):
            found.append(Span(before_type, start, position))
        if pair in ("BB", "IB", "OB", "OI") or (here != "O" and before_type != here_type):
            start = position
    return found


@given(sentences)
def test_spans_follow_the_conlleval_chunk_rules(tags: list[str]) -> None:
    assert spans(tags) == conlleval_spans(tags)


def test_iob2_names_are_accepted() -> None:
    check_tag_names(TAGS)


@pytest.mark.parametrize("name", ["PER", "S-PER", "B-", "B", "", "o", "O-PER", "BPER"])
def test_a_name_that_is_no_iob_tag_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"^'{name}' is no IOB tag: accepted are"):
        check_tag_names(["O", "B-LOC", name])


def test_inside_without_its_beginning_is_named() -> None:
    with pytest.raises(ValueError, match="'I-PER' has no 'B-PER'"):
        check_tag_names(["O", "B-LOC", "I-PER"])
