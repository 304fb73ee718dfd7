"""Truncates or splits sequences that are too long."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from unroll.data.prepare.split_rows import SplitRows

TooLong = Literal["truncate", "split"]


def limit_length(rows: SplitRows, max_length: int, too_long: TooLong, inside: np.ndarray) -> SplitRows:
    """Shorten sequences to at most `max_length` tokens.

    `truncate` keeps the first tokens of a sequence; `split` divides it into several ones of the same row and label,
    but does not divide entities. `inside` (L,) bool contains which tags continue an entity.

    Raises:
        ValueError: an entity is longer than `max_length`.
    """
    if too_long == "truncate":
        return replace(rows, lengths=np.minimum(rows.lengths, max_length))
    parts: list[tuple[int, int, int]] = []  # position, start and end in the sequence
    for position, length in enumerate(rows.lengths.tolist()):
        if length <= max_length:
            parts.append((position, 0, length))
        elif rows.labels is not None:
            parts.extend((position, a, min(length, a + max_length)) for a in range(0, length, max_length))
        else:
            continues = [*inside[rows.tags(position)].tolist(), False]
            parts.extend((position, a, b) for a, b in _cuts(continues, max_length, int(rows.rows[position])))
    positions, starts, ends = np.array(parts, np.int64).reshape(-1, 3).T
    cut = rows.take(positions)
    return replace(cut, starts=cut.starts + starts, lengths=ends - starts)


def _cuts(continues: list[bool], max_length: int, row: int) -> Iterator[tuple[int, int]]:
    """Divide sentence `row` into long parts; `continues` (T + 1,) is whether an entity continues at a position."""
    length, start = len(continues) - 1, 0
    while start < length:
        end = min(start + max_length, length)
        while continues[end]:
            end -= 1
        if end <= start:
            raise ValueError(f"max_length={max_length}: row {row} has a longer entity; accepted: at least its length")
        yield start, end
        start = end
