"""Trigrams: probabilities that sum to 1, and what they learn."""

import numpy as np
import pytest

from benchmarks.kneser_ney import Order, Trigrams, reversed_documents
from unroll.data.ragged import Ragged
from unroll.data.tokens import UNKNOWN

SIZE = 9


def documents(seed: int, count: int = 40) -> Ragged:
    """Random documents in which a word is often the sum of the two before it."""
    draw = np.random.default_rng(seed)
    found = []
    for length in draw.integers(1, 30, count):
        words = draw.integers(UNKNOWN, SIZE, length)
        for i in range(2, length):
            if draw.random() < 0.8:
                words[i] = UNKNOWN + (words[i - 1] + words[i - 2]) % (SIZE - UNKNOWN)
        found.append(words)
    return Ragged.from_sequences(found, np.int64)


@pytest.mark.parametrize("context", [[3], [3, 4], [8, 8], [2, 0]], ids=str)
def test_the_probabilities_of_all_words_sum_to_one(context: list[int]) -> None:
    model = Trigrams(documents(0, count=5), SIZE)
    every = Ragged.from_sequences([[*context, word] for word in range(UNKNOWN, SIZE)], np.int64)
    last = model.log_probabilities(every)[len(context) - 1 :: len(context)]
    assert np.exp(last).sum() == pytest.approx(1)


def test_words_of_two_before_are_learned() -> None:
    held_out = documents(1)
    found = np.exp(-Trigrams(documents(0, count=300), SIZE).log_probabilities(held_out).mean())
    best = np.exp(-(0.825 * np.log(0.825) + 0.175 * np.log(0.025)))  # 0.8 and an eighth of 0.2, and the other seven
    assert best < found < best + 0.5


def test_the_first_word_of_a_document_is_not_predicted() -> None:
    some = documents(2)
    assert len(Trigrams(some, SIZE).log_probabilities(some)) == (some.lengths - 1).sum()


def test_a_word_after_many_contexts_is_likelier_than_a_frequent_one_after_a_single_context() -> None:
    """What the counts of a shorter context are of: distinct longer contexts, not occurrences."""
    tied = [[1, 2]] * 20
    free = [[word, 3] for word in (4, 5, 6, 7, 8)]
    model = Trigrams(Ragged.from_sequences(tied + free, np.int64), SIZE)
    new = model.log_probabilities(Ragged.from_sequences([[2, 2], [2, 3]], np.int64))
    assert new[1] > new[0]


def test_an_unknown_context_leaves_the_shorter_one() -> None:
    order = Order(np.array([5, 5]), np.array([1, 2]), SIZE)
    shorter = np.array([0.25, 0.5])
    np.testing.assert_array_equal(order.probability(np.array([6, 7]), np.array([1, 1]), shorter), shorter)


def test_documents_are_reversed_each_by_itself() -> None:
    assert [it.tolist() for it in reversed_documents(Ragged.from_sequences([[1, 2, 3], [], [4, 5]], np.int64))] == [
        [3, 2, 1],
        [],
        [5, 4],
    ]
