"""Rows of an input, and why some of them cannot be used."""

from typing import NamedTuple

import pyarrow as pa

BLOCK = 2048  # rows that are in memory as Python objects at once


class Rows(NamedTuple):
    """Consecutive rows.

    Args:
        columns: in a row that cannot be read, every value is null.
        problems: by position, why a row, or a value of it, could not be read.
        unread: positions of the rows that could not be read at all.
    """

    columns: pa.RecordBatch
    problems: dict[int, str]
    unread: frozenset[int] = frozenset()
