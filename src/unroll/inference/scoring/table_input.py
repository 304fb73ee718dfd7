"""Reads CSV and TSV files piece by piece: each cell is text, and only an empty cell is missing."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from unroll.data.download.tables import column_names, separator_of
from unroll.data.text_files import extension
from unroll.inference.scoring.rows import BLOCK, Rows
from unroll.inference.scoring.text_input import TextInput

_LONGEST_CELL = 1 << 24  # characters; a quotation mark that is never closed does not fill the memory
_ENDS = "its header has a line end of CR alone; accepted: LF or CRLF"
_QUOTES = 'accepted: cells with quotation marks at both ends or neither, and "" for one inside'


class TableInput(TextInput):
    """A CSV or TSV file with a header, whose separator is found as by `csv_batches`; see `Input`."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self._has_quotes = extension(file) != ".tsv"
        with self.reading():
            self.stream.seek(self.first)
            before: list[bytes] = []
            while (line := self.stream.readline()) and not line.strip():
                before.append(line)
            separator = self._separator(line.decode("latin-1")) if self._has_quotes else "\t"
            quoting = csv.QUOTE_MINIMAL if self._has_quotes else csv.QUOTE_NONE
            self._dialect: Any = {"delimiter": separator, "quoting": quoting}
            header = self._row_of([line], self.stream)
        try:
            rows = list(csv.reader(io.StringIO(b"".join(header).decode(), newline=""), **self._dialect))
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.problem}: its header is not UTF-8; accepted: UTF-8") from error
        if len(rows) > 1:
            raise ValueError(f"{self.problem}: {_ENDS}")
        self._names = column_names(rows[0] if rows else [], self.problem)
        self._start = self.first + sum(map(len, [*before, *header]))
        self._line = 1 + len(before) + len(header)

    def _separator(self, header: str) -> str:
        try:
            return separator_of(header)
        except csv.Error as error:  # a CR between cells
            raise ValueError(f"{self.problem}: {_ENDS}") from error

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
            columns = [pa.array([cells[i] or None for cells, _ in block], pa.string()) for i in wanted]
            problems = {i: problem for i, (_, problem) in enumerate(block) if problem}
            yield Rows(pa.record_batch(columns, schema), problems, frozenset(problems))

    def _rows(self, content: bytes, line: int) -> Iterator[tuple[list[str], str | None]]:
        """The cells of each row that is not empty, and why it cannot be read."""
        csv.field_size_limit(_LONGEST_CELL)
        text, width = content.decode(errors="surrogateescape"), len(self._names)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, **self._dialect)
        nothing = [""] * width
        while True:
            number = line + reader.line_num
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                yield nothing, f"line {number}: {error}; {_QUOTES}"
                continue
            if len(cells) > width:
                yield nothing, f"line {number} has {len(cells)} cells; accepted: {width}, as in the header"
            elif any(not cell.isascii() and not _is_text(cell) for cell in cells):
                yield nothing, f"line {number} is not UTF-8"
            elif cells:
                yield cells + nothing[len(cells) :], None

    def _row_of(self, lines: list[bytes], others: Iterable[bytes]) -> list[bytes]:
        """The lines, and as many of the others as complete the last row, whose quoted cells may contain line ends."""
        csv.field_size_limit(_LONGEST_CELL)
        taken: list[bytes] = []
        # Each byte is a character of Latin-1, and the marks of CSV are the same as in UTF-8.
        reader = csv.reader(_as_text(chain(lines, others), taken), **self._dialect)
        while len(taken) < len(lines):
            try:
                if next(reader, None) is None:
                    break
            except csv.Error as error:
                if "field larger" in str(error):
                    raise ValueError(
                        f"{self.problem}: a cell of more than {_LONGEST_CELL} characters; {_QUOTES}"
                    ) from error
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
