"""Sequences of different lengths, stored one after the other in a single array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Ragged:
    """N sequences with M values in total: sequence i is ``values[offsets[i]:offsets[i + 1]]``.

    Both arrays may be memory-mapped; sequences, `head` and `blocks` are views of `values`.

    Args:
        values: array of shape (M,).
        offsets: array of shape (N + 1,), non-decreasing, from 0 to M.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_lengths(cls, values: np.ndarray, lengths: np.ndarray | Sequence[int]) -> "Ragged":
        """Divide `values` (M,) into sequences of the given lengths (N,), whose sum is M."""
        return cls(values, _offsets(lengths))

    @classmethod
    def from_sequences(cls, sequences: Sequence[Any], dtype: type[np.generic]) -> "Ragged":
        """Concatenate lists or arrays of numbers."""
        parts = [np.asarray(sequence, dtype) for sequence in sequences]
        return cls.from_lengths(np.concatenate([np.zeros(0, dtype), *parts]), [len(part) for part in parts])

    @classmethod
    def gather(cls, values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> "Ragged":
        """Copy the sequences ``values[starts[i]:starts[i] + lengths[i]]``, which may overlap, out of `values`."""
        offsets = _offsets(lengths)
        index = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return cls(values[index], offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        if not 0 <= i < len(self):
            raise IndexError(f"sequence {i} of {len(self)}")
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.values[start:end] for start, end in pairwise(self.offsets.tolist()))

    @cached_property
    def lengths(self) -> np.ndarray:
        """The number of values of each sequence, (N,)."""
        lengths: np.ndarray = self.offsets[1:] - self.offsets[:-1]
        return lengths

    def head(self, count: int) -> "Ragged":
        """The first `count` sequences."""
        offsets = self.offsets[: count + 1]
        return Ragged(self.values[: offsets[-1]], offsets)

    def take(self, index: np.ndarray) -> "Ragged":
        """Copy the sequences at the positions `index`, in that order."""
        return Ragged.gather(self.values, self.offsets[index], self.lengths[index])

    def blocks(self, size: int) -> Iterator["Ragged"]:
        """Divide into consecutive parts of at most `size` values; a longer sequence is a part by itself."""
        first = 0
        while first < len(self):
            start = self.offsets[first]
            last = max(first + 1, int(np.searchsorted(self.offsets, start + size, side="right")) - 1)
            offsets = self.offsets[first : last + 1]
            yield Ragged(self.values[start : offsets[-1]], offsets - start)
            first = last

    def sums(self) -> np.ndarray:
        """The sum of each sequence, (N,); 0 for an empty one."""
        has_values = self.lengths > 0
        found = np.add.reduceat(self.values, self.offsets[:-1][has_values])
        sums = np.zeros(len(self), found.dtype)
        sums[has_values] = found
        return sums

    def positions(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The positions in `values` of the sequences `index` (B,), padded on the right, and their mask; (B, T) each."""
        lengths = self.lengths[index]
        steps = np.arange(lengths.max())
        mask = steps < lengths[:, None]
        return np.where(mask, self.offsets[index, None] + steps, 0), mask


def _offsets(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """0 and the cumulative sums of the lengths (N,); (N + 1,) int64."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
