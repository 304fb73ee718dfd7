"""Reads Parquet files in constant memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.files import reason, refusal
from unroll.inference.scoring.columns import BLOCK, Rows

_BUFFER = 1 << 20  # bytes that are read at once of a column


class ParquetInput:
    """An open Parquet file; see `Input`."""

    def __init__(self, file: Path) -> None:
        self._path = file
        with self._reading():
            # Without `pre_buffer` a row group is read page by page, whatever its size.
            self._file = pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
        counts = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self._starts = list(accumulate(counts[:-1], initial=0)) if counts else []  # of the row groups
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None  # of a batch that the last chunk has not used
        self._at: tuple[int, list[str]] = (-1, [])  # the next row that `_rest` and `_batches` give, and their columns

    def schema(self) -> pa.Schema:
        schema: pa.Schema = self._file.schema_arrow
        return schema

    def cut(self, size: int) -> Iterator[tuple[int, int, int]]:
        facts = self._file.metadata
        total = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
        rows = max(1, facts.num_rows * size // max(total, 1))
        for start in range(0, facts.num_rows, rows):
            yield start, min(start + rows, facts.num_rows), 1

    def read(self, start: int, stop: int, line: int, schema: pa.Schema, is_whole: bool) -> Iterator[Rows]:
        """See `Input.read`. Rows are skipped only within a row group, and not twice if chunks are read in order."""
        group = max((i for i, first in enumerate(self._starts) if first <= start), default=0)
        if not (self._at[1] == schema.names and self._starts[group:] and self._starts[group] <= self._at[0] <= start):
            groups = list(range(group, len(self._starts)))
            with self._reading():
                self._batches = self._file.iter_batches(BLOCK, groups, schema.names, use_threads=False)
            self._rest = None
            self._at = (self._starts[group] if groups else 0, schema.names)
        while self._at[0] < stop:
            with self._reading():
                batch = next(self._batches, None) if self._rest is None else self._rest
            if batch is None:
                raise ValueError(f"{self._path} ends before row {stop}: it has changed since it was opened")
            skipped = min(max(0, start - self._at[0]), len(batch))
            taken = batch.slice(skipped, max(0, stop - self._at[0] - skipped))
            used = skipped + len(taken)
            self._rest = batch.slice(used) if used < len(batch) else None
            self._at = (self._at[0] + used, self._at[1])
            if len(taken):
                yield _valid(taken.select(schema.names))

    def values(self, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The values of these columns, row by row."""
        schema = pa.schema([self.schema().field(name) for name in names])
        for rows in self.read(0, self._file.metadata.num_rows, 1, schema, False):
            yield from zip(*(column.to_pylist() for column in rows.columns.columns), strict=True)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            refused = refusal(error)
            raise ValueError(f"{self._path} cannot be read: {refused.cause if refused else reason(error)}") from error


def _valid(batch: pa.RecordBatch) -> Rows:
    """The rows, with null for values that are not what their type says, such as strings that are not UTF-8."""
    try:
        batch.validate(full=True)
        return Rows(batch, {})
    except pa.ArrowInvalid:
        pass
    problems: dict[int, str] = {}
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        values = []
        for i, value in enumerate(column):
            try:
                values.append(value.as_py())
            except ValueError:
                values.append(None)
                problems.setdefault(i, f"{field.name} is not UTF-8: left out")
        columns.append(pa.array(values, field.type))
    return Rows(pa.record_batch(columns, batch.schema), problems)
