"""Sequences that are too long, made shorter."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from unroll.data.rows import SplitRows

TooLong = Literal["truncate", "split"]


def limit_length(rows: SplitRows, max_length: int, too_long: TooLong, inside: np.ndarray | None) -> SplitRows:
    """Cut each sequence to its first `max_length` tokens, or into pieces of at most as many.

    A piece is a sequence of the same row, and of the same label. Tags are cut between entities.

    Args:
        inside: (L,) which labels go on with an entity; None where a sequence has one label.

    Raises:
        ValueError: an entity is longer than a piece.
    """
    pieces: list[tuple[int, int, int]] = []  # position, start and end in the tokens
    for position, (start, end) in enumerate(zip(rows.offsets[:-1].tolist(), rows.offsets[1:].tolist(), strict=True)):
        if end - start <= max_length or too_long == "truncate":
            pieces.append((position, start, min(end, start + max_length)))
        elif inside is None:
            pieces.extend((position, a, min(end, a + max_length)) for a in range(start, end, max_length))
        else:
            goes_on = [*inside[rows.labels[start:end]].tolist(), False]
            cuts = _cuts(goes_on, max_length, int(rows.rows[position]))
            pieces.extend((position, start + a, start + b) for a, b in cuts)
    positions, starts, ends = np.array(pieces, np.int64).reshape(-1, 3).T
    lengths = ends - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    return SplitRows(
        tokens=rows.tokens[tokens],
        labels=rows.labels[positions if inside is None else tokens],
        offsets=offsets,
        rows=rows.rows[positions],
        quarantined=rows.quarantined,
    )


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
