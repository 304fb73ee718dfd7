"""The usable rows of a split, as slices of a corpus on disk."""

import logging
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from unroll.checks import first_names
from unroll.data.encoding import DistinctTokens, TokenTable, write_array
from unroll.data.ragged import Ragged
from unroll.data.source import Source
from unroll.data.tokens import UNKNOWN
from unroll.files import whole_file

log = logging.getLogger("unroll")

BLOCK = 1 << 21  # number of tokens in memory at a time


class Spool:
    """An array (M,) int32 in an unnamed temporary file, which grows at its end and is read by slices."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115

    def __len__(self) -> int:
        return self._file.seek(0, os.SEEK_END) // 4

    def append(self, values: np.ndarray) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(values.astype(np.int32).tobytes())

    def __getitem__(self, index: slice) -> np.ndarray:
        start, stop, _ = index.indices(len(self))
        self._file.seek(4 * start)
        return np.frombuffer(self._file.read(4 * (stop - start)), np.int32)


class Corpus:
    """All tokens that were read, as ids in `distinct`, and the tag of each token of a labeling dataset."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.distinct = DistinctTokens()
        self.tokens, self.tags = Spool(folder), Spool(folder)


@dataclass(frozen=True)
class SplitRows:
    """N sequences: sequence i consists of `lengths[i]` tokens from `starts[i]` of the corpus; starts increase.

    Args:
        corpus: the tokens and tags.
        starts, lengths: (N,).
        labels: (N,), or (N, L) bool for any number of labels per text; None if tokens have tags.
        rows: (N,) the row of the raw split that each sequence comes from.
        quarantined: the rows of the split that cannot be used, as (row, reason).
        inexact_spans: the number of spans in the rows of the split that start or end inside a token.
    """

    corpus: Corpus
    starts: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray | None
    rows: np.ndarray
    quarantined: list[tuple[int, str]] = field(default_factory=list)
    inexact_spans: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_tokens(self) -> int:
        return int(self.lengths.sum())

    @property
    def strata(self) -> np.ndarray | None:
        """The label (N,) of each sequence, to stratify by; None unless each sequence has exactly one label."""
        return self.labels if self.labels is not None and self.labels.ndim == 1 else None

    def count_reasons(self) -> dict[str, int]:
        """The number of quarantined rows by reason, most frequent first."""
        return dict(Counter(reason for _, reason in self.quarantined).most_common())

    def take(self, chosen: np.ndarray) -> "SplitRows":
        """The sequences at the increasing positions `chosen`."""
        labels = None if self.labels is None else self.labels[chosen]
        starts, lengths = self.starts[chosen], self.lengths[chosen]
        return replace(self, starts=starts, lengths=lengths, labels=labels, rows=self.rows[chosen])

    def count_tokens(self) -> dict[str, int]:
        """The number of occurrences of each token that occurs."""
        size = len(self.corpus.distinct) + 1
        counts = sum((np.bincount(block.values, minlength=size) for block in self.blocks()), np.zeros(size, np.int64))
        pairs = zip(self.corpus.distinct, counts[1:].tolist(), strict=True)
        return {token: count for token, count in pairs if count}

    def tags(self, position: int) -> np.ndarray:
        """The tags of one sequence, (T,)."""
        start = int(self.starts[position])
        return self.corpus.tags[start : start + int(self.lengths[position])]

    def blocks(self) -> Iterator[Ragged]:
        """The tokens of all sequences in order, about BLOCK tokens at a time."""
        return self._read(self.corpus.tokens)

    def tag_blocks(self) -> Iterator[Ragged]:
        """The tags of all sequences, divided as in `blocks`."""
        return self._read(self.corpus.tags)

    def _read(self, spool: Spool) -> Iterator[Ragged]:
        ends = self.starts + self.lengths
        a = 0
        while a < len(self):
            first = int(self.starts[a])
            b = max(a + 1, int(np.searchsorted(ends, first + BLOCK, side="right")))
            yield Ragged.gather(spool[first : int(ends[b - 1])], self.starts[a:b] - first, self.lengths[a:b])
            a = b


def write_split(rows: SplitRows, table: TokenTable, folder: Path) -> int:
    """Write the files of an `EncodedSplit`; return the number of tokens whose word is unknown."""
    folder.mkdir()
    write_array(folder / "rows.npy", rows.rows)
    write_array(folder / "offsets.npy", np.concatenate([[0], np.cumsum(rows.lengths)]))
    save_blocks(folder / "tokens.npy", rows.blocks(), np.int32, rows.num_tokens)
    if rows.labels is None:
        save_blocks(folder / "labels.npy", rows.tag_blocks(), np.int64, rows.num_tokens)
    else:
        write_array(folder / "labels.npy", rows.labels)
    return sum(int((table.words[block.values] == UNKNOWN).sum()) for block in rows.blocks())


def save_blocks(path: Path, blocks: Iterator[Ragged], dtype: type[np.integer], size: int) -> None:
    """Like `np.save` of the values of all blocks, whose number is `size`, with one block in memory at a time."""
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (size,)}
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(block.values.astype(dtype).tobytes())


def carve(
    train: SplitRows, source: Source, option: str, fraction: float, seed: int, names: list[str]
) -> tuple[SplitRows, SplitRows]:
    """Divide the training split in two, stratified by label if each sequence has exactly one.

    The second part has the share `fraction`, the value of the option `option`; ValueError if there are too few rows. A
    warning, with the label from `names`, is logged if a label has a single row, which stays in the first part, or if
    there are more labels than rows in a part, so that the draw cannot be stratified.
    """
    from sklearn.model_selection import train_test_split

    what = f"{option}={fraction:g} of the {len(train)} training rows of {source.path}"
    rows, strata = np.arange(len(train)), train.strata
    if strata is not None:
        counts = np.bincount(strata, minlength=len(names))
        if (counts == 1).any() and (counts > 1).any():
            alone = first_names([names[i] for i in np.flatnonzero(counts == 1)])
            log.warning("warning: %s: the only rows with the labels %s stay in train", what, alone)
            rows = rows[counts[strata] > 1]
        strata = strata[rows]
    size = math.ceil(fraction * len(rows))
    if size == len(rows):
        raise ValueError(
            f"{option}={fraction:g} cannot be drawn from the {len(train)} training rows of {source.path}: no row would "
            "be left for train; accepted: a smaller share, or more rows"
        )
    if strata is not None:
        smaller, labels = min(size, len(rows) - size), len(np.unique(strata))
        if smaller < labels:
            log.warning("warning: %s: %d rows cannot have all %d labels; not stratified", what, smaller, labels)
            strata = None
    _, carved = train_test_split(rows, test_size=fraction, random_state=seed, stratify=strata)
    # Quarantined rows and inexact spans remain counted in train.
    kept = np.setdiff1d(np.arange(len(train)), carved)
    return train.take(kept), replace(train.take(np.sort(carved)), quarantined=[], inexact_spans=0)


def limit_rows(rows: SplitRows, limit: int, seed: int) -> SplitRows:
    """Draw at most `limit` rows, stratified by label if each sequence has exactly one; their order is kept."""
    count = len(rows)
    labels = np.zeros(count, np.int64) if rows.strata is None else rows.strata
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(labels[order], kind="stable")]  # grouped by label, random within each
    by_label = pd.Series(order).groupby(labels[order])
    # The share of its label's rows that precede a row; taking the smallest gives every label the same share.
    shares = ((by_label.cumcount() + 0.5) / by_label.transform("size")).to_numpy()
    return rows.take(np.sort(order[np.argsort(shares, kind="stable")[:limit]]))
