"""Batches compared with the ragged arrays of a split."""

from collections.abc import Callable
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll.data import batches as batching
from unroll.data.batches import WINDOW, SequentialBatches, ShuffledBatches, collate
from unroll.data.encoding import TokenEncoder
from unroll.data.padding import Batch
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.tokens import IGNORE, PADDING, SPECIAL_WORDS, Casing, Task

ALPHABET = [*SPECIAL_WORDS, *"abcdefghijABCDEFGHIJ"]


def word(number: int) -> str:
    """A distinct word for every number, of varying length and casing."""
    spelt = str(number).translate(str.maketrans("0123456789", "abcdefghij"))
    return (str.lower, str.capitalize, str.upper)[number % 3](spelt)


def make_split(lengths: list[int], task: Task = "classification") -> EncodedSplit:
    """A split with repeated tokens in another order than in the table, and distinct labels."""
    total = sum(lengths)
    words = [word(number) for number in range(total)]
    labels = {
        "classification": np.arange(len(lengths)),
        "labeling": np.arange(total),
        "multilabel": np.arange(len(lengths))[:, None] >> np.arange(6) & 1 == 1,  # bits of the label above
    }
    return EncodedSplit(
        task=task,
        table=TokenEncoder([*SPECIAL_WORDS, *map(str.lower, words)], ALPHABET).encode(words),
        sequences=Ragged.from_lengths(np.arange(total)[::-1].astype(np.int32) // 2 + 1, lengths),
        labels=labels[task],
        rows=np.arange(len(lengths)),
    )


def words_at(split: EncodedSplit, index: int) -> list[str]:
    """The tokens of a sequence as strings."""
    return [word(row - 1) for row in split.tokens[split.offsets[index] : split.offsets[index + 1]]]


def many_lengths(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(1, 60, count).tolist()


def order_of(batches: list[Batch]) -> list[list[int]]:
    return [batch.positions.tolist() for batch in batches]


def flat(order: list[list[int]]) -> list[int]:
    return [index for batch in order for index in batch]


tasks = st.sampled_from(["classification", "labeling", "multilabel"])
sizes = st.integers(1, 7)
token_limits = st.none() | st.integers(1, 60)
ragged = st.lists(st.integers(1, 12), min_size=1, max_size=40)


@given(lengths=ragged, task=tasks, data=st.data())
def test_a_batch_holds_its_sequences_and_padding(lengths: list[int], task: Task, data: st.DataObject) -> None:
    split = make_split(lengths, task)
    index = data.draw(st.lists(st.integers(0, len(split) - 1), min_size=1, max_size=6, unique=True))

    tokens, labels, positions = collate(split, np.array(index))

    steps = max(lengths[i] for i in index)
    assert positions.tolist() == index
    assert tokens.lengths.tolist() == [lengths[i] for i in index]
    assert tokens.words.shape == tokens.casing.shape == (len(index), steps)
    for row, i in enumerate(index):
        place = slice(split.offsets[i], split.offsets[i + 1])
        padding = steps - lengths[i]
        assert tokens.words[row].tolist() == [*split.table.words[split.tokens[place]], *[PADDING] * padding]
        assert tokens.casing[row].tolist() == [*split.table.casing[split.tokens[place]], *[Casing.PADDING] * padding]
        if task == "labeling":
            assert labels[row].tolist() == [*split.labels[place], *[IGNORE] * padding]
        else:
            assert labels[row].tolist() == split.labels[i].tolist()


@given(lengths=ragged, data=st.data())
def test_the_spelling_of_every_token_is_its_characters(lengths: list[int], data: st.DataObject) -> None:
    split = make_split(lengths)
    index = data.draw(st.lists(st.integers(0, len(split) - 1), min_size=1, max_size=6, unique=True))

    spelling = collate(split, np.array(index), characters=True).tokens.spelling

    assert spelling is not None
    spelt = ["".join(ALPHABET[i] for i in row if i != PADDING) for row in spelling.characters.tolist()]
    for places, i in zip(spelling.rows.tolist(), index, strict=True):
        assert [spelt[place] for place in places[: lengths[i]]] == words_at(split, i)


def test_each_distinct_token_of_a_batch_is_spelt_once() -> None:
    split = make_split([4, 6, 3])
    spelling = collate(split, np.array([0, 1]), characters=True).tokens.spelling
    assert spelling is not None
    distinct = {*words_at(split, 0), *words_at(split, 1)}
    assert len(spelling.characters) == len(distinct) + 1  # and padding
    assert spelling.characters.shape[1] == max(map(len, distinct))


def test_a_whole_split_with_a_small_table_is_spelt_as_the_table_has_it() -> None:
    split = make_split([30])
    assert len(split.table.words) <= 31
    spelling = collate(split, np.array([0]), characters=True).tokens.spelling
    assert spelling is not None
    assert spelling.rows.tolist() == [split.tokens.tolist()]
    assert len(spelling.characters) == len(split.table.words)


def test_nothing_is_spelt_where_characters_are_not_asked_for() -> None:
    split = make_split([4, 6])
    for make in (SequentialBatches(split, 2), ShuffledBatches(split, 0, 2)):
        assert [batch.tokens.spelling for batch in make] == [None]
    for make in (SequentialBatches(split, 2, characters=True), ShuffledBatches(split, 0, 2, characters=True)):
        assert [batch.tokens.spelling is None for batch in make] == [False]


@given(lengths=ragged, batch_size=sizes)
def test_sequential_batches_hold_every_sequence_once_shortest_first(lengths: list[int], batch_size: int) -> None:
    batches = SequentialBatches(make_split(lengths), batch_size)
    order = order_of(list(batches))
    assert len(order) == len(batches)
    assert sorted(flat(order)) == list(range(len(lengths)))
    assert [lengths[i] for i in flat(order)] == sorted(lengths)
    assert {len(batch) for batch in order[:-1]} <= {batch_size}


@given(lengths=ragged, batch_size=sizes, batch_tokens=st.integers(1, 60))
def test_batches_are_as_full_as_both_limits_allow(lengths: list[int], batch_size: int, batch_tokens: int) -> None:
    order = order_of(list(SequentialBatches(make_split(lengths), batch_size, batch_tokens)))
    assert [lengths[i] for i in flat(order)] == sorted(lengths)
    for batch, following in pairwise(order):
        next_length = lengths[following[0]]
        assert len(batch) == batch_size or (len(batch) + 1) * next_length > batch_tokens


def test_sequential_batches_can_be_read_again() -> None:
    batches = SequentialBatches(make_split(many_lengths(30)), 4)
    assert order_of(list(batches)) == order_of(list(batches))


@given(lengths=ragged, batch_size=sizes, batch_tokens=token_limits, seed=st.integers(0, 99))
def test_shuffled_batches_hold_every_sequence_once_an_epoch(
    lengths: list[int], batch_size: int, batch_tokens: int | None, seed: int
) -> None:
    batches = ShuffledBatches(make_split(lengths), seed, batch_size, batch_tokens)
    for _ in range(3):
        order = order_of(list(batches))
        assert len(order) == len(batches)
        assert sorted(flat(order)) == list(range(len(lengths)))


@given(lengths=ragged, batch_size=sizes, batch_tokens=st.integers(1, 60))
def test_no_batch_of_several_sequences_exceeds_the_tokens_that_a_batch_may_have(
    lengths: list[int], batch_size: int, batch_tokens: int
) -> None:
    split = make_split(lengths)
    for batches in (
        SequentialBatches(split, batch_size, batch_tokens),
        ShuffledBatches(split, 0, batch_size, batch_tokens),
    ):
        for tokens, _, positions in batches:
            assert len(positions) <= batch_size
            assert len(positions) == 1 or tokens.words.numel() <= batch_tokens


@settings(max_examples=10)
@given(seed=st.integers(0, 99), batch_tokens=st.integers(60, 120))
def test_every_epoch_has_as_many_batches_where_tokens_are_limited(seed: int, batch_tokens: int) -> None:
    lengths = many_lengths(5 * WINDOW // 2)  # more than one window
    batches = ShuffledBatches(make_split(lengths), seed, 2, batch_tokens)
    assert len({len(list(batches)) for _ in range(3)}) == 1


@pytest.mark.parametrize("batch_tokens", [None, 200])
def test_the_same_seed_gives_the_same_order(batch_tokens: int | None) -> None:
    split = make_split(many_lengths(100))
    first, second = (ShuffledBatches(split, 5, 8, batch_tokens) for _ in range(2))
    for _ in range(3):
        assert order_of(list(first)) == order_of(list(second))


@pytest.mark.parametrize("batch_tokens", [None, 200])
def test_another_seed_and_another_epoch_give_another_order(batch_tokens: int | None) -> None:
    split = make_split(many_lengths(100))
    batches, others = (ShuffledBatches(split, seed, 8, batch_tokens) for seed in (5, 6))
    orders = [order_of(list(batches)), order_of(list(batches)), order_of(list(others))]
    # The sequences of a batch differ too, not only the order of the batches.
    assert len({frozenset(map(frozenset, order)) for order in orders}) == 3


@pytest.mark.parametrize("batch_tokens", [None, 400])
def test_batches_do_not_come_in_order_of_length(batch_tokens: int | None) -> None:
    lengths = many_lengths(1000)
    order = order_of(list(ShuffledBatches(make_split(lengths), 0, 10, batch_tokens)))
    longest = [max(lengths[i] for i in batch) for batch in order]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.3


def test_sorting_within_windows_leaves_little_padding() -> None:
    lengths = many_lengths(2 * WINDOW * 8)
    split = make_split(lengths)

    def padding_share(order: list[list[int]]) -> float:
        padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in order)
        return 1 - sum(lengths) / padded

    unsorted = np.random.default_rng(0).permutation(len(lengths)).reshape(-1, 8).tolist()
    assert padding_share(unsorted) > 0.4
    assert padding_share(order_of(list(ShuffledBatches(split, 0, 8)))) < 0.05


@given(count=st.integers(1, 40), batch_size=sizes, batch_tokens=token_limits, data=st.data())
def test_a_restored_state_continues_with_the_next_batch(
    count: int, batch_size: int, batch_tokens: int | None, data: st.DataObject
) -> None:
    split = make_split(many_lengths(count))
    unbroken, broken, resumed = (ShuffledBatches(split, 3, batch_size, batch_tokens) for _ in range(3))
    expected = [batch for _ in range(4) for batch in order_of(list(unbroken))]
    done_epochs = data.draw(st.integers(0, 2))
    done_batches = data.draw(st.integers(0, len(unbroken)))  # including no batch and all batches of an epoch

    for _ in range(done_epochs):
        list(broken)
    list(islice(broken, done_batches))
    resumed.load_state_dict(broken.state_dict())

    remaining = expected[done_epochs * len(unbroken) + done_batches :]
    found: list[list[int]] = []
    while len(found) < len(remaining):
        found += order_of(list(resumed))
    assert found == remaining


def test_a_state_is_plain_numbers() -> None:
    batches = ShuffledBatches(make_split(many_lengths(20)), 0, 4)
    list(islice(batches, 2))
    assert batches.state_dict() == {"epoch": 0, "position": 2}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ((0, None), "batch_size=0; accepted: 1 or more"),
        ((4, 0), "batch_tokens=0; accepted: 1 or more, or null for no limit"),
    ],
)
def test_a_limit_below_one_is_refused(limits: tuple[int, int | None], message: str) -> None:
    split = make_split([3])
    with pytest.raises(ValueError, match=message):
        SequentialBatches(split, *limits)
    with pytest.raises(ValueError, match=message):
        ShuffledBatches(split, 0, *limits)


def shares(make: Callable[[], SequentialBatches], processes: int) -> list[list[list[int]]]:
    """The batches of each process in an epoch."""
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


@given(count=st.integers(1, 40), batch_size=sizes, batch_tokens=token_limits, processes=st.integers(1, 5))
def test_processes_share_out_validation_without_repeating_a_sequence(
    count: int, batch_size: int, batch_tokens: int | None, processes: int
) -> None:
    split = make_split(many_lengths(count))
    found = shares(lambda: SequentialBatches(split, batch_size, batch_tokens), processes)
    assert sorted(index for share in found for index in flat(share)) == list(range(count))


@given(count=st.integers(1, 40), batch_size=sizes, batch_tokens=token_limits, processes=st.integers(1, 5))
def test_processes_train_on_equally_many_batches_that_cover_everything(
    count: int, batch_size: int, batch_tokens: int | None, processes: int
) -> None:
    split = make_split(many_lengths(count))
    found = shares(lambda: ShuffledBatches(split, 0, batch_size, batch_tokens), processes)
    assert len({len(share) for share in found}) == 1
    together = [index for share in found for index in flat(share)]
    assert set(together) == set(range(count))
    # Only as many batches are repeated as needed for equal shares.
    assert sum(map(len, found)) - len(SequentialBatches(split, batch_size, batch_tokens)) < processes


@given(
    count=st.integers(1, 40),
    batch_tokens=token_limits,
    processes=st.integers(1, 4),
    accumulated=st.integers(1, 4),
    limit=st.sampled_from([None, 3, 0.5]),
    task=st.sampled_from(["classification", "labeling"]),
)
def test_weighted_losses_of_a_step_have_the_mean_over_its_labels(
    count: int, batch_tokens: int | None, processes: int, accumulated: int, limit: int | float | None, task: Task
) -> None:
    split = make_split(many_lengths(count), task)
    found = []  # of each process: pairs of the number of labels and the weight, of each batch

    def make() -> ShuffledBatches:
        batches = ShuffledBatches(split, 0, 5, batch_tokens, limit=limit, accumulated=accumulated)
        labels = [(batch.labels != IGNORE).sum().item() for batch in batches]
        found.append([(number, batches.weight(index)) for index, number in enumerate(labels)])
        return ShuffledBatches(split, 0, 5, batch_tokens, limit=limit, accumulated=accumulated)

    shares(make, processes)
    for start in range(0, len(found[0]), accumulated):
        step = [pair for share in found for pair in share[start : start + accumulated]]
        if processes * accumulated == 1:
            assert step == [(step[0][0], None)]
            continue
        total = sum(number for number, _ in step)
        # DDP divides the sum over processes by their number, and Lightning each loss by the accumulated batches.
        for number, weight in step:
            assert weight is not None
            assert weight / processes / accumulated == pytest.approx(number / total)


def test_equal_batches_have_the_weight_one() -> None:
    batches = ShuffledBatches(make_split([3] * 12), 0, 4, accumulated=3)
    assert [batches.weight(index) for index, _ in enumerate(batches)] == [1.0] * 3


@pytest.mark.parametrize(("limit", "expected"), [(None, 5), (2, 2), (9, 5), (0.5, 2), (1.0, 5), (0.01, 1)])
def test_a_limit_is_a_number_of_batches_or_a_fraction_of_them(limit: int | float | None, expected: int) -> None:
    split = make_split(many_lengths(10))
    for batches in (SequentialBatches(split, 2, limit=limit), ShuffledBatches(split, 0, 2, limit=limit)):
        assert len(batches) == len(list(batches)) == expected


def test_limited_batches_are_spread_over_all_lengths() -> None:
    split = make_split(list(range(1, 11)))
    assert order_of(list(SequentialBatches(split, 1, limit=2))) == [[2], [7]]


def test_each_process_has_as_many_batches_as_the_limit_says() -> None:
    split = make_split(many_lengths(12))
    found = shares(lambda: ShuffledBatches(split, 0, 2, limit=2), 2)
    assert [len(share) for share in found] == [2, 2]
    assert len({index for share in found for index in flat(share)}) == 8
