"""Reads CSV and TSV files piece by piece: each cell is text, and only an empty cell is missing."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa

from unroll.data.csv_rows import QUOTES, Row, cause, column_names, csv_reader, dialect_of, table_rows
from unroll.data.text_files import extension
from unroll.inference.scoring.columns import BLOCK, Rows
from unroll.inference.scoring.text_input import TextInput


class TableInput(TextInput):
    """A CSV or TSV file with a header; see `csv_rows` and `Input`."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self._has_quotes = extension(file) != ".tsv"
        with self.reading():
            self.stream.seek(self.first)
            before: list[bytes] = []
            while (line := self.stream.readline()) and not line.strip():
                before.append(line)
            self._dialect = dialect_of(extension(file), line.decode("latin-1"), self.problem)
            header = self._row_of([line], self.stream)
        try:
            rows = list(csv_reader(io.StringIO(b"".join(header).decode(), newline=""), self._dialect, strict=False))
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.problem}: its header is not UTF-8; accepted: UTF-8") from error
        if len(rows) > 1:
            raise ValueError(f"{self.problem}: its header has a line end of CR alone; accepted: LF or CRLF")
        self._names = column_names(rows[0] if rows else [], self.problem)
        self._start = self.first + sum(map(len, [*before, *header]))
        self._line = 1 + len(before) + len(header)

    def schema(self) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in self._names])

    def cut(self, size: int) -> Iterator[tuple[int, int, int]]:
        return self.cut_lines(self._start, self._line, size)

    def whole_rows(self, lines: list[bytes]) -> list[bytes]:
        return self._row_of(lines, self.stream) if self._has_quotes and b'"' in b"".join(lines) else lines

    def read(self, start: int, stop: int, line: int, schema: pa.Schema, is_whole: bool) -> Iterator[Rows]:
        rows = self._rows(self.bytes_of(start, stop), line)
        wanted = [self._names.index(name) for name in schema.names]
        while block := list(islice(rows, BLOCK)):
            columns = [pa.array([row.cells[i] or None for row in block], pa.string()) for i in wanted]
            problems = {i: row.problem for i, row in enumerate(block) if row.problem}
            yield Rows(pa.record_batch(columns, schema), problems, frozenset(problems))

    def _rows(self, content: bytes, line: int) -> Iterator[Row]:
        text, width = io.StringIO(content.decode(errors="surrogateescape"), newline=""), len(self._names)
        for row in table_rows(csv_reader(text, self._dialect), width, line):
            if all(cell.isascii() or _is_text(cell) for cell in row.cells):
                yield row
            else:
                yield Row([""] * width, row.line, f"line {row.line} is not UTF-8")

    def _row_of(self, lines: list[bytes], others: Iterable[bytes]) -> list[bytes]:
        """The lines, and as many of the others as complete the last row, whose quoted cells may contain line ends."""
        taken: list[bytes] = []
        # Each byte is a character of Latin-1, and the marks of CSV are the same as in UTF-8.
        reader = csv_reader(_as_text(chain(lines, others), taken), self._dialect, strict=False)
        while len(taken) < len(lines):
            try:
                if next(reader, None) is None:
                    break
            except csv.Error as error:
                if (said := cause(error)) != str(error):
                    raise ValueError(f"{self.problem}: {said}; {QUOTES}") from error
        return taken


def _as_text(lines: Iterable[bytes], taken: list[bytes]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line.decode("latin-1")


def _is_text(cell: str) -> bool:
    """Whether all bytes of a cell were UTF-8."""
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
