"""Reads the rows of CSV and TSV as they are written: each cell is text, and only an empty cell is missing.

This is the one reader of tables in text; it needs nothing but Python.
"""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

LONGEST_CELL = 1 << 24  # characters; a quotation mark that is never closed does not fill the memory
QUOTES = 'accepted: cells with quotation marks at both ends or neither, and "" for one inside'


class Row(NamedTuple):
    """A row that is not empty.

    Args:
        cells: one for each column; those that are missing at the end of the row are empty.
        line: the number of its first line.
        problem: why the row cannot be read; then all cells are empty.
    """

    cells: list[str]
    line: int
    problem: str | None = None


def open_table(
    lines: Iterable[str], kind: str, problem: str, separator: str | None = None
) -> tuple[list[str], Iterator[Row]]:
    """Read the header of a table; return the names of its columns and its rows, which are read as they are asked for.

    Args:
        lines: with their ends.
        kind: `.csv` or `.tsv`.
        problem: begins the messages.
        separator: of the cells, if it is known.

    Raises:
        ValueError: there is no header, or it cannot be read.
    """
    lines, line, first = iter(lines), 1, ""
    for first in lines:
        if first.strip():
            break
        line += 1
    reader = csv_reader(chain([first], lines), dialect_of(kind, first, problem, separator))
    try:
        header: list[str] = next(reader, [])
    except csv.Error as error:
        raise ValueError(f"{problem}: line {line}: {cause(error)}; {QUOTES}") from error
    names = column_names(header if first.strip() else [], problem)
    return names, table_rows(reader, len(names), line)


def dialect_of(kind: str, header: str, problem: str, separator: str | None = None) -> dict[str, Any]:
    """How cells are divided, as the csv module takes it.

    Separators are tabs in `.tsv`, in which a quotation mark is a character like others. In `.csv`, cells may be quoted,
    and the separator is the first of comma, semicolon, tab and | that divides the header, or a comma.

    Raises:
        ValueError: the header, its first line, contains a line end of CR alone or a cell that is too long.
    """
    if kind == ".tsv":
        return {"delimiter": separator or "\t", "quoting": csv.QUOTE_NONE}
    try:
        marks = {mark: csv_reader([header], {"delimiter": mark}, strict=False) for mark in ",;\t|"}
        found = (mark for mark, reader in marks.items() if len(next(reader, [])) > 1)
        return {"delimiter": separator or next(found, ","), "quoting": csv.QUOTE_MINIMAL}
    except csv.Error as error:
        is_long = (said := cause(error)) != str(error)  # otherwise there is a CR between cells
        said = f"{said}; {QUOTES}" if is_long else "a line end of CR alone; accepted: LF or CRLF"
        raise ValueError(f"{problem}: its header has {said}") from error


def column_names(header: list[str], problem: str) -> list[str]:
    """The names in a header, `Unnamed: N` where one is missing; raises ValueError if there are none, or one twice."""
    names = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(header)]
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"{problem}: two columns are called {twice[0]!r}")
    if not names:
        raise ValueError(f"{problem}: it is empty; accepted: a header and rows")
    return names


def csv_reader(lines: Iterable[str], dialect: dict[str, Any], strict: bool = True) -> Any:
    """The reader of the csv module, for cells that are not too long."""
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(lines, strict=strict, **dialect)


def table_rows(reader: Any, width: int, line: int) -> Iterator[Row]:
    """The rows that a `csv_reader` reads.

    Args:
        width: the number of columns.
        line: of the file, the first one that the reader has read or will read.
    """
    nothing = [""] * width
    while True:
        number = line + reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(nothing, number, f"line {number}: {cause(error)}; {QUOTES}")
            continue
        if cells is None:
            return
        if len(cells) > width:
            yield Row(nothing, number, f"line {number} has {len(cells)} cells; accepted: {width}, as in the header")
        elif cells:
            yield Row(cells + nothing[len(cells) :], number)


def cause(error: csv.Error) -> str:
    """What the csv module says, in plain words."""
    is_long = "field larger than field limit" in str(error)
    return f"a cell of more than {LONGEST_CELL} characters" if is_long else str(error)
