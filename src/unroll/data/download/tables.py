"""Reads CSV and TSV files as tables of strings."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from unroll.data.csv_rows import Row, open_table
from unroll.data.text_files import extension, open_text

ROWS = 10_000  # of a batch


def csv_batches(path: Path, separator: str | None = None) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file as batches of strings; the first batch may be empty. See `csv_rows`.

    Raises:
        ValueError: the file cannot be read or decoded, or a row has more cells than the header or a wrong quotation.
    """
    kind = extension(path)
    problem = f"{path} cannot be read as {kind}"
    with open_text(path) as file:
        names, rows = open_table(file, kind, problem, separator)
        block = list(islice(rows, ROWS))
        while True:
            cells = [_cells(row, problem) for row in block]
            columns = zip(*cells, strict=True) if cells else [()] * len(names)
            yield pa.record_batch([pa.array([cell or None for cell in it], pa.string()) for it in columns], names)
            block = list(islice(rows, ROWS))
            if not block:
                break


def _cells(row: Row, problem: str) -> list[str]:
    if row.problem:
        raise ValueError(f"{problem}: {row.problem}")
    return row.cells
