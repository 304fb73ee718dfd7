from collections import Counter
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.encoding import PADDING, SPECIAL_WORDS, UNKNOWN, TokenEncoder, build_vocabulary
from unroll.data.text import Casing

words_of_a_corpus = st.lists(st.sampled_from(["ash", "bay", "cove", "dune", "elm", *SPECIAL_WORDS]))


def count(corpus: list[str]) -> tuple[list[str], np.ndarray]:
    counts = Counter(corpus)
    return list(counts), np.array(list(counts.values()), np.int64)


def test_vocabulary_falls_by_count_then_rises_by_alphabet() -> None:
    assert build_vocabulary(["dune", "ash", "elm", "bay"], np.array([2, 2, 1, 5]), min_count=1) == [
        "<pad>",
        "<unk>",
        "bay",
        "ash",
        "dune",
        "elm",
    ]


@given(words_of_a_corpus, st.integers(1, 4))
def test_vocabulary_holds_exactly_the_words_seen_often_enough(corpus: list[str], min_count: int) -> None:
    vocabulary = build_vocabulary(*count(corpus), min_count)
    frequent = {word for word, times in Counter(corpus).items() if times >= min_count}
    assert vocabulary[:2] == SPECIAL_WORDS
    assert sorted(vocabulary[2:]) == sorted(frequent - set(SPECIAL_WORDS))


@given(words_of_a_corpus, st.randoms())
def test_vocabulary_does_not_depend_on_the_order_of_the_corpus(corpus: list[str], draw: Random) -> None:
    shuffled = draw.sample(corpus, len(corpus))
    assert build_vocabulary(*count(shuffled), 1) == build_vocabulary(*count(corpus), 1)


def test_special_words_stand_where_their_ids_say() -> None:
    assert SPECIAL_WORDS[PADDING] == "<pad>"
    assert SPECIAL_WORDS[UNKNOWN] == "<unk>"


def test_tokens_become_ids_of_lower_cased_words_and_casings() -> None:
    words, casing = TokenEncoder([*SPECIAL_WORDS, "ash", "bay"]).encode(["Bay", "ASH", "ash", "elm", "3rd", "!"])
    assert words.tolist() == [3, 2, 2, UNKNOWN, UNKNOWN, UNKNOWN]
    assert casing.tolist() == [
        Casing.CAPITALISED,
        Casing.UPPER,
        Casing.LOWER,
        Casing.LOWER,
        Casing.DIGITS,
        Casing.OTHER,
    ]
    assert (words.dtype, casing.dtype) == (np.int32, np.uint8)


@given(st.lists(st.text(min_size=1)))
def test_no_token_is_encoded_as_padding(tokens: list[str]) -> None:
    words, casing = TokenEncoder([*SPECIAL_WORDS, "ash"]).encode(iter(tokens))
    assert len(words) == len(casing) == len(tokens)
    assert (words != PADDING).all() and (casing != Casing.PADDING).all()
