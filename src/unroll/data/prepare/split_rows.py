"""The usable rows of a split: stretches of a corpus that stays on disk."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unroll.data.encoding import DistinctTokens
from unroll.data.prepare.spool import Spool

BLOCK = 1 << 21  # tokens that are in memory at a time


class Corpus:
    """Every token that was read, as numbers of `distinct`; with a tag each in a labeling dataset."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.distinct = DistinctTokens()
        self.tokens = Spool(np.int32, folder)
        self.tags = Spool(np.int32, folder)


class Block(NamedTuple):
    """Sequences in memory, as ragged arrays (see EncodedSplit); `labels` are tags in a labeling dataset."""

    tokens: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class SplitRows:
    """Sequence i has `lengths[i]` tokens from `starts[i]` of the corpus; starts rise.

    Shapes, for N sequences: `starts`, `lengths`, `rows` (N,), the last the row of the raw split; `labels` (N,), or
    (N, L) bool where a text has any number of them, or None where its tokens have tags.

    Attributes:
        quarantined: the split's other rows, as (row, reason).
    """

    corpus: Corpus
    starts: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray | None
    rows: np.ndarray
    quarantined: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_tokens(self) -> int:
        return int(self.lengths.sum())

    def count_reasons(self) -> dict[str, int]:
        """Quarantined rows by reason, most frequent first."""
        return dict(Counter(reason for _, reason in self.quarantined).most_common())

    def take(self, chosen: np.ndarray) -> "SplitRows":
        """The sequences at the rising positions `chosen`."""
        return replace(
            self,
            starts=self.starts[chosen],
            lengths=self.lengths[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            rows=self.rows[chosen],
        )

    def with_quarantined(self, more: list[tuple[int, str]]) -> "SplitRows":
        return replace(self, quarantined=sorted(self.quarantined + more))

    def count_tokens(self) -> np.ndarray:
        """(S,) how often each distinct token of the corpus stands in these sequences."""
        size = len(self.corpus.distinct)
        counts = np.zeros(size + 1, np.int64)
        for block in self.blocks():
            counts += np.bincount(block.tokens, minlength=size + 1)
        return counts[1:]

    def tags(self, position: int) -> np.ndarray:
        """(T,) of one sequence."""
        start = int(self.starts[position])
        return self.corpus.tags[start : start + int(self.lengths[position])]

    def blocks(self) -> Iterator[Block]:
        """All sequences in order, some at a time."""
        ends = self.starts + self.lengths
        a = 0
        while a < len(self):
            first = int(self.starts[a])
            b = max(a + 1, int(np.searchsorted(ends, first + BLOCK, side="right")))
            offsets = np.concatenate([[0], np.cumsum(self.lengths[a:b])])
            stretch = slice(first, int(ends[b - 1]))
            places = np.repeat(self.starts[a:b] - first - offsets[:-1], self.lengths[a:b]) + np.arange(offsets[-1])
            labels = self.corpus.tags[stretch][places] if self.labels is None else self.labels[a:b]
            yield Block(self.corpus.tokens[stretch][places], labels, offsets)
            a = b
