"""Vectors of words that no vocabulary has."""

from zlib import crc32

import numpy as np
import pytest

from unroll.data.subword_vectors import SubwordVectors, ngram_rows

CONFIG = {"embedding_size": 2, "min_ngram": 3, "max_ngram": 4, "buckets": 50}


@pytest.fixture
def table() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)


def test_a_word_has_the_mean_vector_of_its_ngrams(table: np.ndarray) -> None:
    grams = ["<up", "up>", "<up>"]
    expected = np.mean([table[crc32(it.encode()) % 50] for it in grams], axis=0)
    found = SubwordVectors(CONFIG, {"subwords": table}).vectors_of(["up"])
    np.testing.assert_allclose(found, expected[None], rtol=1e-6)


def test_words_without_ngrams_have_zeros(table: np.ndarray) -> None:
    """`<a>` has three characters, so that the shortest n-gram of five is longer."""
    vectors = SubwordVectors({**CONFIG, "min_ngram": 5, "max_ngram": 6}, {"subwords": table})
    found = vectors.vectors_of(["a", "longer", "", "b"])
    assert (found[[0, 2, 3]] == 0).all()
    assert (found[1] != 0).all()
    assert vectors.vectors_of([]).shape == (0, 2)


def test_the_block_size_changes_nothing(table: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, words = SubwordVectors(CONFIG, {"subwords": table}), ["one", "two", "\ud800", "three", "naïve"]
    whole = vectors.vectors_of(words)
    monkeypatch.setattr("unroll.data.subword_vectors._BLOCK", 2)
    assert (vectors.vectors_of(words) == whole).all()


def test_without_buckets_there_are_no_ngrams() -> None:
    assert len(ngram_rows(["one", "two"], 3, 6, 0).values) == 0


def test_a_table_of_another_shape_is_refused(table: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"subwords have the shape \(50, 2\); accepted: \(60, 2\)"):
        SubwordVectors({**CONFIG, "buckets": 60}, {"subwords": table})
