"""Reads CSV and TSV files as they are written: each cell is text, and only an empty cell is missing."""

import csv
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from unroll.data.text_files import extension, open_text

ROWS = 10_000  # of a batch
_LONGEST_CELL = 2**31 - 1  # characters


def csv_batches(path: Path, separator: str | None = None) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file as batches of strings; the first batch may be empty.

    Separators are tabs in a `.tsv` file, in which a quotation mark is a character like others. In other files, cells
    may be quoted, and the separator is the first of comma, semicolon, tab and | that divides the header. Empty lines
    are skipped; cells that are missing at the end of a row are empty. A column without a name is called `Unnamed: N`.

    Raises:
        ValueError: the file cannot be read or decoded, or a row has more cells than the header or a wrong quotation.
    """
    csv.field_size_limit(_LONGEST_CELL)
    kind = extension(path)
    with open_text(path) as file:
        first = next((line for line in file if line.strip()), "")
        file.seek(0)
        separator = separator or ("\t" if kind == ".tsv" else separator_of(first))
        rows = _rows(file, separator, kind != ".tsv", f"{path} cannot be read as {kind}")
        header = next(rows, [])
        names = column_names(header, f"{path} cannot be read as {kind}")
        block = list(islice(rows, ROWS))
        while True:
            columns = zip_longest(names, *block, fillvalue="")
            yield pa.record_batch([pa.array([c or None for c in cells], pa.string()) for _, *cells in columns], names)
            block = list(islice(rows, ROWS))
            if not block:
                break


def column_names(header: list[str], problem: str) -> list[str]:
    """The names in a header; raises ValueError, which begins with `problem`, if there are none, or one twice."""
    names = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(header)]
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"{problem}: two columns are called {twice[0]!r}")
    if not names:
        raise ValueError(f"{problem}: it is empty; accepted: a header and rows")
    return names


def separator_of(header: str) -> str:
    """The first of comma, semicolon, tab and bar that divides a header, or a comma."""
    return next((mark for mark in ",;\t|" if len(next(csv.reader([header], delimiter=mark), [])) > 1), ",")


def _rows(file: TextIO, separator: str, has_quotes: bool, problem: str) -> Iterator[list[str]]:
    """The rows that are not empty, header first; errors name the line that a row starts on."""
    reader = csv.reader(
        file, delimiter=separator, quoting=csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE, strict=True
    )
    width, line = 0, 1
    try:
        for row in reader:
            width = width or len(row)
            if len(row) > width:
                raise ValueError(f"{problem}: line {line} has {len(row)} cells; accepted: {width}, as in the header")
            line = reader.line_num + 1
            if row:
                yield row
    except csv.Error as error:
        accepted = 'cells with quotation marks at both ends or neither, and "" for one inside'
        raise ValueError(f"{problem}: line {line}: {error}; accepted: {accepted}") from error
