"""Ragged arrays compared with lists of lists."""

from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.ragged import Ragged

SEQUENCES = st.lists(st.lists(st.integers(-9, 9), max_size=6), max_size=8)
NON_EMPTY = st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=6), min_size=1, max_size=8)


def ragged(sequences: list[list[int]]) -> Ragged:
    return Ragged.from_sequences(sequences, np.int64)


def lists(found: Ragged) -> list[list[int]]:
    return [sequence.tolist() for sequence in found]


@given(SEQUENCES)
def test_sequences_come_back_as_they_were(sequences: list[list[int]]) -> None:
    found = ragged(sequences)
    assert len(found) == len(sequences)
    assert lists(found) == [found[i].tolist() for i in range(len(found))] == sequences
    assert found.lengths.tolist() == [len(sequence) for sequence in sequences]
    assert found.values.tolist() == list(chain(*sequences))
    assert found.offsets.tolist() == list(accumulate(map(len, sequences), initial=0))


@given(SEQUENCES)
def test_values_and_lengths_define_the_sequences(sequences: list[list[int]]) -> None:
    values = np.array(list(chain(*sequences)), np.int32)
    found = Ragged.from_lengths(values, [len(sequence) for sequence in sequences])
    assert lists(found) == sequences
    assert found.values is values


@given(st.lists(st.integers(-9, 9), max_size=20), st.data())
def test_gathered_sequences_are_slices(values: list[int], data: st.DataObject) -> None:
    slices = st.tuples(st.integers(0, len(values)), st.integers(0, len(values))).map(sorted)
    pairs = data.draw(st.lists(slices, max_size=6))
    starts, ends = np.array(pairs, np.int64).reshape(-1, 2).T
    assert lists(Ragged.gather(np.array(values, np.int64), starts, ends - starts)) == [values[a:b] for a, b in pairs]


@given(SEQUENCES, st.integers(0, 10))
def test_the_head_is_the_first_sequences(sequences: list[list[int]], count: int) -> None:
    assert lists(ragged(sequences).head(count)) == sequences[:count]


@given(NON_EMPTY, st.data())
def test_take_chooses_sequences_in_any_order(sequences: list[list[int]], data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(0, len(sequences) - 1), max_size=10))
    assert lists(ragged(sequences).take(np.array(index, np.int64))) == [sequences[i] for i in index]


@given(SEQUENCES, st.integers(1, 20))
def test_blocks_are_whole_sequences_and_as_large_as_possible(sequences: list[list[int]], size: int) -> None:
    blocks = [lists(block) for block in ragged(sequences).blocks(size)]
    assert list(chain(*blocks)) == sequences
    sizes = [sum(map(len, block)) for block in blocks]
    assert all(found <= size or len(block) == 1 for found, block in zip(sizes, blocks, strict=True))
    assert all(sizes[i] + len(blocks[i + 1][0]) > size for i in range(len(blocks) - 1))


@given(SEQUENCES)
def test_sums_are_those_of_each_sequence(sequences: list[list[int]]) -> None:
    assert ragged(sequences).sums().tolist() == [sum(sequence) for sequence in sequences]


@given(NON_EMPTY, st.data())
def test_padding_is_on_the_right(sequences: list[list[int]], data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(0, len(sequences) - 1), min_size=1, max_size=10))
    longest = max(len(sequences[i]) for i in index)
    found = ragged(sequences)
    positions, mask = found.positions(np.array(index))
    assert np.where(mask, found.values[positions], 77).tolist() == [
        sequences[i] + [77] * (longest - len(sequences[i])) for i in index
    ]


@pytest.mark.parametrize("position", [-1, 2])
def test_there_is_no_sequence_beyond_the_last(position: int) -> None:
    with pytest.raises(IndexError, match=f"sequence {position} of 2"):
        ragged([[1], [2]])[position]


def test_mapped_values_stay_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.arange(6))
    found = Ragged(np.load(tmp_path / "values.npy", mmap_mode="r"), np.array([0, 2, 6]))
    views = [found[1], *found, found.head(1).values, *(block.values for block in found.blocks(2))]
    assert all(isinstance(view, np.memmap) and np.shares_memory(view, found.values) for view in views)
