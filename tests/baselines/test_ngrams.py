import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from unroll.baselines.ngrams import NgramCounter
from unroll.data.encoding import TokenTable
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged

VOCABULARY_SIZE = 7
TEXTS = st.lists(st.lists(st.integers(1, VOCABULARY_SIZE - 1), min_size=1, max_size=6), min_size=1, max_size=6)


def split_of(texts: list[list[int]]) -> EncodedSplit:
    """A split of texts of word ids, which are also the rows of its table."""
    ids = np.arange(VOCABULARY_SIZE)
    table = TokenTable(words=ids, casing=ids, spellings=Ragged(ids, np.arange(VOCABULARY_SIZE + 1)))
    rows = np.arange(len(texts))
    return EncodedSplit("classification", table, Ragged.from_sequences(texts, np.int64), rows, rows)


@given(TEXTS, TEXTS, st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_n_grams_and_their_counts_are_scikit_learns(
    train: list[list[int]], texts: list[list[int]], shortest: int, more: int, min_count: int
) -> None:
    ngram_range = (shortest, shortest + more)
    counter = NgramCounter(VOCABULARY_SIZE, ngram_range)
    ngrams = counter.distinct(split_of(train), min_count)

    expected = CountVectorizer(
        tokenizer=str.split, token_pattern=None, lowercase=False, ngram_range=ngram_range, min_df=min_count
    )
    written = [" ".join(map(str, text)) for text in train]
    try:
        expected.fit(written)
    except ValueError:  # scikit-learn found no n-gram
        assert not len(ngrams)
        return
    order = [expected.vocabulary_[" ".join(map(str, _words(ngram)))] for ngram in ngrams]
    assert sorted(order) == list(range(len(expected.vocabulary_)))
    counts = expected.transform([" ".join(map(str, text)) for text in texts]).toarray()
    assert np.array_equal(counter.count(split_of(texts), ngrams).toarray(), counts[:, order])


def _words(ngram: int) -> list[int]:
    """The words of an n-gram, from its code."""
    return [] if ngram == 0 else [*_words(ngram // VOCABULARY_SIZE), ngram % VOCABULARY_SIZE]


@pytest.mark.parametrize("ngram_range", [[0, 1], [2, 1], [1], [1, 4]])
def test_invalid_and_too_long_ranges_are_refused(ngram_range: list[int]) -> None:
    with pytest.raises(ValueError, match=r"ngram_range=.*from 1 to 3 for a vocabulary of 100,000 words"):
        NgramCounter(100_000, ngram_range)
