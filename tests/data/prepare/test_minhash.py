from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.prepare.minhash import MinHash
from unroll.data.ragged import Ragged

WORDS = np.random.default_rng(0)


def groups_of(*blocks: list[np.ndarray]) -> list[int]:
    found = MinHash()
    for texts in blocks:
        found.add(Ragged.from_sequences(texts, np.int32))
    return found.groups(np.arange(sum(map(len, blocks)), dtype=np.uint64)).tolist()  # type: ignore[no-any-return]


def texts(count: int, length: int) -> list[np.ndarray]:
    return list(WORDS.integers(1, 50_000, (count, length), dtype=np.int32))


def changed(text: np.ndarray, count: int) -> np.ndarray:
    copy = text.copy()
    copy[WORDS.choice(len(text), count, replace=False)] = WORDS.integers(60_000, 90_000, count)
    return copy


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    pairs = [set(pairwise(text)) for text in (a, b)]
    return len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1])


@pytest.mark.parametrize("length", [50, 100, 500])
def test_texts_with_a_word_changed_are_found(length: int) -> None:
    originals = texts(500, length)
    copies = [changed(text, 1) for text in originals]
    groups = groups_of(originals + copies)
    assert sum(a == b for a, b in zip(groups[:500], groups[500:], strict=True)) >= 490
    assert len(set(groups[:500])) == 500


@pytest.mark.parametrize("length", [20, 100])
def test_texts_with_half_of_their_pairs_in_common_are_not(length: int) -> None:
    originals = texts(500, length)
    copies = [changed(text, length // 5) for text in originals]
    assert max(jaccard(a, b) for a, b in zip(originals, copies, strict=True)) < 0.75
    groups = groups_of(originals + copies)
    assert sum(a == b for a, b in zip(groups[:500], groups[500:], strict=True)) <= 5


@given(st.lists(st.lists(st.integers(1, 3), max_size=6), min_size=1, max_size=12), st.integers(0, 12))
def test_the_same_texts_are_together_however_they_are_added(numbers: list[list[int]], cut: int) -> None:
    found = [np.array(text, np.int32) for text in numbers]
    groups = groups_of(found[:cut], found[cut:])
    assert groups == groups_of(found)
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            if a == b:
                assert (groups[i] == groups[j]) == (i == j or len(a) > 0)


def test_every_repetition_is_in_the_group_of_its_text() -> None:
    a, b, c = texts(3, 30)
    first, second, third, *others = groups_of([a, b, c, b, a, a])
    assert len({first, second, third}) == 3
    assert others == [second, first, first]


def test_100_000_times_the_same_text_is_one_group() -> None:
    assert set(groups_of(texts(1, 30) * 100_000)) == {0}


def test_repetitions_are_found_among_more_similar_texts_than_are_compared() -> None:
    numbers = np.random.default_rng(0).integers(1, 4, (40, 12), dtype=np.int32)
    found = list(np.tile(numbers, (20, 1)))
    groups = np.reshape(groups_of(found), (20, 40))
    assert (groups == groups[0]).all()


def test_texts_without_words_are_together_if_their_keys_are_equal() -> None:
    found = MinHash()
    found.add(Ragged.from_sequences([[], [1], [], []], np.int32))
    first, word, second, third = found.groups(np.array([7, 7, 8, 7], np.uint64))
    assert first == third
    assert len({first, word, second}) == 3


def test_of_no_texts_there_are_no_groups() -> None:
    assert groups_of([]) == []
