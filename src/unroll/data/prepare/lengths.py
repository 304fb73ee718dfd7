"""Sequences that are too long, made shorter."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from unroll.data.prepare.split_rows import SplitRows

TooLong = Literal["truncate", "split"]


def limit_length(rows: SplitRows, max_length: int, too_long: TooLong, inside: np.ndarray) -> SplitRows:
    """Cut each sequence to its first `max_length` tokens, or into pieces of at most as many.

    A piece is a sequence of the same row, and of the same label. Tags are cut between entities.

    Args:
        inside: (L,) which tags go on with an entity; not looked at where a sequence has one label.

    Raises:
        ValueError: an entity is longer than a piece.
    """
    if too_long == "truncate":
        return replace(rows, lengths=np.minimum(rows.lengths, max_length))
    pieces: list[tuple[int, int, int]] = []  # position, start and end in the sequence
    for position, length in enumerate(rows.lengths.tolist()):
        if length <= max_length:
            pieces.append((position, 0, length))
        elif rows.labels is not None:
            pieces.extend((position, a, min(length, a + max_length)) for a in range(0, length, max_length))
        else:
            goes_on = [*inside[rows.tags(position)].tolist(), False]
            pieces.extend((position, a, b) for a, b in _cuts(goes_on, max_length, int(rows.rows[position])))
    positions, starts, ends = np.array(pieces, np.int64).reshape(-1, 3).T
    cut = rows.take(positions)
    return replace(cut, starts=cut.starts + starts, lengths=ends - starts)


def _cuts(goes_on: list[bool], max_length: int, row: int) -> Iterator[tuple[int, int]]:
    """Pieces of a sentence as long as can be; `goes_on` (T + 1,) where it must not be cut."""
    length, start = len(goes_on) - 1, 0
    while start < length:
        end = min(start + max_length, length)
        while goes_on[end]:
            end -= 1
        if end <= start:
            raise ValueError(f"max_length={max_length}: row {row} has an entity of more tokens; accepted: a larger one")
        yield start, end
        start = end
