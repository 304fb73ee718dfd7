"""Batches against the ragged arrays that they are cut from."""

from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll.data import batching
from unroll.data.batching import IGNORE, WINDOW, Batch, SequentialBatches, ShuffledBatches, collate
from unroll.data.encoding import PADDING
from unroll.data.prepared import EncodedSplit
from unroll.data.source import Task
from unroll.data.text import Casing


def make_split(lengths: list[int], task: Task = "classification") -> EncodedSplit:
    """Every token is another word, every label another number."""
    total = sum(lengths)
    return EncodedSplit(
        task=task,
        words=np.arange(2, total + 2, dtype=np.int32),
        casing=(np.arange(total) % 6 + 1).astype(np.uint8),
        labels=np.arange(len(lengths) if task == "classification" else total),
        offsets=np.cumsum([0, *lengths]),
        rows=np.arange(len(lengths)),
    )


def many_lengths(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(1, 60, count).tolist()


def order_of(batches: list[Batch]) -> list[list[int]]:
    return [batch.positions.tolist() for batch in batches]


def flat(order: list[list[int]]) -> list[int]:
    return [index for batch in order for index in batch]


tasks = st.sampled_from(["classification", "labeling"])
sizes = st.integers(1, 7)
ragged = st.lists(st.integers(1, 12), min_size=1, max_size=40)


@given(lengths=ragged, task=tasks, data=st.data())
def test_a_batch_holds_its_sequences_and_padding(lengths: list[int], task: Task, data: st.DataObject) -> None:
    split = make_split(lengths, task)
    index = data.draw(st.lists(st.integers(0, len(split) - 1), min_size=1, max_size=6, unique=True))

    batch = collate(split, np.array(index))

    steps = max(lengths[i] for i in index)
    assert batch.positions.tolist() == index
    assert batch.lengths.tolist() == [lengths[i] for i in index]
    assert batch.words.shape == batch.casing.shape == (len(index), steps)
    for row, i in enumerate(index):
        tokens = slice(split.offsets[i], split.offsets[i + 1])
        padding = steps - lengths[i]
        assert batch.words[row].tolist() == [*split.words[tokens], *[PADDING] * padding]
        assert batch.casing[row].tolist() == [*split.casing[tokens], *[Casing.PADDING] * padding]
        if task == "classification":
            assert batch.labels[row] == split.labels[i]
        else:
            assert batch.labels[row].tolist() == [*split.labels[tokens], *[IGNORE] * padding]


@given(lengths=ragged, batch_size=sizes)
def test_sequential_batches_hold_every_sequence_once_shortest_first(lengths: list[int], batch_size: int) -> None:
    batches = SequentialBatches(make_split(lengths), batch_size)
    order = order_of(list(batches))
    assert len(order) == len(batches)
    assert sorted(flat(order)) == list(range(len(lengths)))
    assert [lengths[i] for i in flat(order)] == sorted(lengths)
    assert {len(batch) for batch in order[:-1]} <= {batch_size}


def test_sequential_batches_can_be_read_again() -> None:
    batches = SequentialBatches(make_split(many_lengths(30)), 4)
    assert order_of(list(batches)) == order_of(list(batches))


@given(lengths=ragged, batch_size=sizes, seed=st.integers(0, 99))
def test_shuffled_batches_hold_every_sequence_once_an_epoch(lengths: list[int], batch_size: int, seed: int) -> None:
    batches = ShuffledBatches(make_split(lengths), batch_size, seed)
    for _ in range(3):
        order = order_of(list(batches))
        assert len(order) == len(batches)
        assert sorted(flat(order)) == list(range(len(lengths)))


def test_the_same_seed_gives_the_same_order() -> None:
    split = make_split(many_lengths(100))
    first, second = (ShuffledBatches(split, 8, seed=5) for _ in range(2))
    for _ in range(3):
        assert order_of(list(first)) == order_of(list(second))


def test_another_seed_and_another_epoch_give_another_order() -> None:
    split = make_split(many_lengths(100))
    batches = ShuffledBatches(split, 8, seed=5)
    orders = [order_of(list(batches)), order_of(list(batches)), order_of(list(ShuffledBatches(split, 8, seed=6)))]
    # Other sequences share a batch, not only other batches follow each other.
    assert len({frozenset(map(frozenset, order)) for order in orders}) == 3


def test_batches_do_not_come_in_order_of_length() -> None:
    lengths = many_lengths(1000)
    order = order_of(list(ShuffledBatches(make_split(lengths), 10, seed=0)))
    longest = [max(lengths[i] for i in batch) for batch in order]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.3


def test_sorting_within_windows_leaves_little_padding() -> None:
    lengths = many_lengths(2 * WINDOW * 16)
    split = make_split(lengths)

    def padding_share(order: list[list[int]]) -> float:
        padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in order)
        return 1 - sum(lengths) / padded

    unsorted = np.random.default_rng(0).permutation(len(lengths)).reshape(-1, 16).tolist()
    assert padding_share(unsorted) > 0.4
    assert padding_share(order_of(list(ShuffledBatches(split, 16, seed=0)))) < 0.05


@settings(deadline=None)
@given(count=st.integers(1, 40), batch_size=sizes, data=st.data())
def test_a_restored_state_goes_on_batch_for_batch(count: int, batch_size: int, data: st.DataObject) -> None:
    split = make_split(many_lengths(count))
    unbroken = ShuffledBatches(split, batch_size, seed=3)
    expected = [batch for _ in range(4) for batch in order_of(list(unbroken))]
    done_epochs = data.draw(st.integers(0, 2))
    done_batches = data.draw(st.integers(0, len(unbroken)))  # none and all of an epoch too

    broken = ShuffledBatches(split, batch_size, seed=3)
    for _ in range(done_epochs):
        list(broken)
    list(islice(broken, done_batches))
    resumed = ShuffledBatches(split, batch_size, seed=3)
    resumed.load_state_dict(broken.state_dict())

    remaining = expected[done_epochs * len(unbroken) + done_batches :]
    found: list[list[int]] = []
    while len(found) < len(remaining):
        found += order_of(list(resumed))
    assert found == remaining


def test_a_state_is_plain_numbers() -> None:
    batches = ShuffledBatches(make_split(many_lengths(20)), 4, seed=0)
    list(islice(batches, 2))
    assert batches.state_dict() == {"epoch": 0, "position": 2}


@pytest.mark.parametrize("make", [SequentialBatches, lambda split, size: ShuffledBatches(split, size, seed=0)])
def test_a_batch_size_below_one_is_refused(make: Callable[[EncodedSplit, int], SequentialBatches]) -> None:
    with pytest.raises(ValueError, match="batch_size=0; accepted: 1 or more"):
        make(make_split([3]), 0)


def shares(make: Callable[[], SequentialBatches], processes: int) -> list[list[list[int]]]:
    """What each of several processes reads in an epoch."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "is_initialized", lambda: True)
        patch.setattr(batching, "get_world_size", lambda: processes)
        for rank in range(processes):
            patch.setattr(batching, "get_rank", lambda rank=rank: rank)
            batches = make()
            found.append(order_of(list(batches)))
            assert len(found[-1]) == len(batches)
    return found


@given(count=st.integers(1, 40), batch_size=sizes, processes=st.integers(1, 5))
def test_processes_share_out_validation_without_repeating_a_sequence(
    count: int, batch_size: int, processes: int
) -> None:
    split = make_split(many_lengths(count))
    found = shares(lambda: SequentialBatches(split, batch_size), processes)
    assert sorted(index for share in found for index in flat(share)) == list(range(count))


@given(count=st.integers(1, 40), batch_size=sizes, processes=st.integers(1, 5))
def test_processes_train_on_equally_many_batches_that_cover_everything(
    count: int, batch_size: int, processes: int
) -> None:
    split = make_split(many_lengths(count))
    found = shares(lambda: ShuffledBatches(split, batch_size, seed=0), processes)
    assert len({len(share) for share in found}) == 1
    together = [index for share in found for index in flat(share)]
    assert set(together) == set(range(count))
    # No more is repeated than evens the shares out.
    assert sum(map(len, found)) - len(SequentialBatches(split, batch_size)) < processes
