from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.encoding import MAX_SPELLING, DistinctTokens, TokenEncoder, TokenTable, build_vocabulary, spelling
from unroll.data.tokens import PADDING, SPECIAL_WORDS, UNKNOWN, Casing

ALPHABET = [*SPECIAL_WORDS, *"abcde"]
words_of_a_corpus = st.lists(st.sampled_from(["ash", "bay", "cove", "dune", "elm", *SPECIAL_WORDS]))


def encode(*tokens: str, vocabulary: tuple[str, ...] = ("ash", "bay")) -> TokenTable:
    return TokenEncoder([*SPECIAL_WORDS, *vocabulary], ALPHABET).encode(tokens)


def test_vocabulary_falls_by_count_then_rises_by_alphabet() -> None:
    counts = {"dune": 2, "ash": 2, "elm": 1, "bay": 5}
    assert build_vocabulary(counts, min_count=1) == ["<pad>", "<unk>", "bay", "ash", "dune", "elm"]


@given(words_of_a_corpus, st.integers(1, 4))
def test_vocabulary_holds_exactly_the_words_seen_often_enough(corpus: list[str], min_count: int) -> None:
    vocabulary = build_vocabulary(Counter(corpus), min_count)
    frequent = {word for word, times in Counter(corpus).items() if times >= min_count}
    assert vocabulary[:2] == SPECIAL_WORDS
    assert sorted(vocabulary[2:]) == sorted(frequent - set(SPECIAL_WORDS))


@given(words_of_a_corpus, st.randoms())
def test_vocabulary_does_not_depend_on_the_order_of_the_corpus(corpus: list[str], draw: Random) -> None:
    shuffled = draw.sample(corpus, len(corpus))
    assert build_vocabulary(Counter(shuffled), 1) == build_vocabulary(Counter(corpus), 1)


def test_special_words_stand_where_their_ids_say() -> None:
    assert SPECIAL_WORDS[PADDING] == "<pad>"
    assert SPECIAL_WORDS[UNKNOWN] == "<unk>"


def test_distinct_tokens_are_numbered_from_one_and_on_over_splits() -> None:
    distinct = DistinctTokens()
    assert distinct.ids(["a", "b", "a"]).tolist() == [1, 2, 1]
    assert distinct.ids(["c", "b", "A"]).tolist() == [3, 2, 4]
    assert list(distinct) == ["a", "b", "c", "A"]
    assert len(distinct) == 4


def test_tokens_become_ids_of_lower_cased_words_and_casings() -> None:
    table = encode("Bay", "ASH", "ash", "elm", "3rd", "!")
    assert table.words.tolist() == [PADDING, 3, 2, 2, UNKNOWN, UNKNOWN, UNKNOWN]
    assert table.casing.tolist() == [
        Casing.PADDING,
        Casing.CAPITALISED,
        Casing.UPPER,
        Casing.LOWER,
        Casing.LOWER,
        Casing.DIGITS,
        Casing.OTHER,
    ]


def test_tokens_are_spelt_as_they_are_written() -> None:
    spelt = encode("bad", "Bad", "ä", "e").spell(np.array([1, 2, 3, 4, 1]))
    b, a, d, e = (ALPHABET.index(character) for character in "bade")
    assert spelt.tolist() == [
        [b, a, d],
        [UNKNOWN, a, d],
        [UNKNOWN, PADDING, PADDING],
        [e, PADDING, PADDING],
        [b, a, d],
    ]


def test_a_spelling_has_no_more_characters_than_are_kept() -> None:
    table = encode("a" * (MAX_SPELLING + 1), "b" * MAX_SPELLING)
    assert (table.spell(np.array([1, 2])) == [[ALPHABET.index("a")], [ALPHABET.index("b")]]).all()
    assert table.spell(np.array([1])).shape == (1, MAX_SPELLING)


@given(st.lists(st.text(min_size=1)))
def test_no_token_is_encoded_as_padding(tokens: list[str]) -> None:
    table = encode(*tokens)
    assert len(table.words) == len(table.casing) == len(tokens) + 1
    assert (table.words == PADDING).tolist() == [True] + [False] * len(tokens)
    assert (table.casing == Casing.PADDING).tolist() == [True] + [False] * len(tokens)
    assert (table.spell(np.arange(len(tokens) + 1))[:, 0] != PADDING).all()


def test_tokens_that_are_named_as_padding_is_are_words() -> None:
    assert encode("<pad>").words.tolist() == [PADDING, UNKNOWN]


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    table = encode("bad", "Bay", "3", "a" * 50)
    table.save(tmp_path / "tokens")
    loaded = TokenTable.load(tmp_path / "tokens")
    pairs = [
        (table.words, loaded.words),
        (table.casing, loaded.casing),
        (table.spellings.values, loaded.spellings.values),
        (table.spellings.offsets, loaded.spellings.offsets),
    ]
    for before, after in pairs:
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_a_character_that_is_missing_from_the_alphabet_is_taken_from_the_word() -> None:
    """A character of a single word is not in the alphabet; that word is in the vocabulary."""
    alphabet = ["<pad>", "<unk>", "a", "B"]
    assert spelling(np.array([3, 1, 2, 0]), "b.a", alphabet) == "B.a"
    assert spelling(np.array([3, 1, 2, 0]), "<unk>", alphabet) == "B\N{REPLACEMENT CHARACTER}a"
