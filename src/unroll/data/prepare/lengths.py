"""Truncates or splits sequences that are too long."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from unroll.data.prepare.split_rows import SplitRows

TooLong = Literal["truncate", "split"]


def limit_length(rows: SplitRows, max_length: int, too_long: TooLong, inside: np.ndarray) -> SplitRows:
    """Shorten sequences as `short_parts` does; `inside` (L,) bool contains which tags continue an entity."""
    continues = None if rows.labels is not None else lambda i: inside[rows.tags(i)]
    sequences, starts, lengths = short_parts(rows.rows, rows.lengths, max_length, too_long, continues)
    cut = rows.take(sequences)
    return replace(cut, starts=cut.starts + starts, lengths=lengths)


def short_parts(
    rows: np.ndarray, lengths: np.ndarray, size: int, too_long: TooLong, inside: Callable[[int], np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find parts of at most `size` tokens in sequences of the given lengths (N,) and rows (N,).

    `truncate` keeps the first tokens of a sequence; `split` divides it into several parts, but does not divide
    entities: `inside` returns for sequence i which of its tokens continue one, (T,) bool. A ValueError says that an
    entity is longer than `size`.

    Returns:
        The sequence, the start in it, and the length of each part, (P,) each.
    """
    if too_long == "truncate":
        return np.arange(len(lengths)), np.zeros(len(lengths), np.int64), np.minimum(lengths, size)
    parts: list[tuple[int, int, int]] = []
    for i, length in enumerate(lengths.tolist()):
        continues = inside(i).tolist() if inside and length > size else [False] * length
        start = 0
        while start < length:
            end = min(start + size, length)
            while end < length and continues[end]:
                end -= 1
            if end <= start:
                raise ValueError(f"max_length={size}: row {rows[i]} has a longer entity; accepted: at least its length")
            parts.append((i, start, end - start))
            start = end
    sequences, starts, sizes = np.array(parts, np.int64).reshape(-1, 3).T
    return sequences, starts, sizes
