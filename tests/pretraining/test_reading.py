"""Windows of documents: every token is predicted once, with its context."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pretraining.corpora import numbered
from unroll.data.tokens import UNKNOWN
from unroll.pretraining.reading import SequentialPassages, ShuffledPassages, Windows
from unroll.pretraining.softmax import Sampler

documents = st.lists(st.integers(1, 40), min_size=1, max_size=6).filter(lambda lengths: max(lengths) > 1)


def all_windows(lengths: list[int], window: int, context: int) -> Windows:
    corpus = numbered(lengths)
    return Windows(corpus.table, corpus.sequences, window, context)


def words_but(lengths: list[int], skipped: int) -> Counter[str]:
    """Every word of `numbered` once, but for the one at position `skipped` of each document."""
    corpus = numbered(lengths)
    ids = [corpus.table.words[document] for document in corpus.sequences]
    return Counter(np.concatenate([np.delete(document, skipped) for document in ids]).tolist())


@settings(max_examples=30)
@given(lengths=documents, window=st.integers(4, 12), context=st.integers(1, 9), size=st.integers(1, 30))
def test_every_token_with_a_neighbour_is_predicted_once_in_each_direction(
    lengths: list[int], window: int, context: int, size: int
) -> None:
    forward, backward = Counter[int](), Counter[int]()
    for passage in SequentialPassages(all_windows(lengths, window, context), batch_tokens=size):
        forward += Counter(passage.forward.words.tolist())
        backward += Counter(passage.backward.words.tolist())
    assert forward == words_but(lengths, 0)
    assert backward == words_but(lengths, -1)


@settings(max_examples=30)
@given(lengths=documents, window=st.integers(4, 12), context=st.integers(1, 9))
def test_a_word_is_predicted_from_the_output_beside_it_of_a_state_that_has_read_its_context(
    lengths: list[int], window: int, context: int
) -> None:
    corpus = numbered(lengths)
    place = {
        int(word): (i, length)
        for rows, length in zip(corpus.sequences, lengths, strict=True)
        for i, word in enumerate(corpus.table.words[rows])
    }  # of a word: its position in its document, and the length of that
    (passage,) = SequentialPassages(all_windows(lengths, window, context), batch_tokens=10**6)
    words, steps = passage.tokens.words, passage.tokens.words.shape[1]
    for rows, targets, beside in ((*passage.forward, 1), (*passage.backward, -1)):
        assert torch.equal(words.flatten()[rows + beside], targets)
        for row, target in zip((rows + beside).tolist(), targets.tolist(), strict=True):
            at, length = place[target]
            i, step = divmod(row, steps)
            after = int(passage.tokens.lengths[i]) - 1 - step
            read, there = (step, at) if beside == 1 else (after, length - 1 - at)
            assert read >= min(there, context)


@pytest.mark.parametrize("length", [1, 2, 16, 17, 100])
def test_only_long_documents_are_divided(length: int) -> None:
    windows = all_windows([length, 3], 16, 2)
    assert len(windows) == 1 + (0 if length == 1 else -(-length // 16))
    assert windows.lengths.max() <= 16 + 2 * 2


def test_an_epoch_has_its_own_order_and_negatives_and_the_same_seed_repeats_them() -> None:
    def epochs(seed: int) -> list[list[torch.Tensor]]:
        batches = ShuffledPassages(all_windows([30] * 8, 8, 2), seed, 60, Sampler(200, 20))
        return [[torch.cat([it.tokens.words.flatten(), it.negatives.words]) for it in batches] for _ in range(2)]

    def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
        return all(map(torch.equal, one, other))

    (first, second), (again, _), (other, _) = epochs(1), epochs(1), epochs(2)
    assert equal(first, again)
    assert not equal(first, second)
    assert not equal(first, other)


def test_resumed_batches_have_the_same_negatives() -> None:
    def make() -> ShuffledPassages:
        return ShuffledPassages(all_windows([30] * 8, 8, 2), 1, 60, Sampler(200, 20))

    batches, resumed = make(), make()
    unbroken = [it.negatives.words for it in batches]
    unbroken += [it.negatives.words for it in batches]
    again = make()
    list(again)
    iterator = iter(again)
    next(iterator)
    resumed.load_state_dict(again.state_dict())
    rest = [it.negatives.words for it in resumed]
    assert all(map(torch.equal, rest, unbroken[-len(rest) :]))
    assert len(rest) == len(unbroken) // 2 - 1


def test_negatives_are_words_and_never_padding() -> None:
    (passage, *_) = ShuffledPassages(all_windows([30] * 8, 8, 2), 1, 60, Sampler(200, 50))
    assert passage.negatives.words.min() >= UNKNOWN
    assert passage.negatives.words.max() < 200


@pytest.mark.parametrize(("window", "context"), [(3, 1), (8, 0)])
def test_windows_too_short_are_refused(window: int, context: int) -> None:
    with pytest.raises(ValueError, match="accepted: "):
        all_windows([9], window, context)
