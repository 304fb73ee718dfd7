"""Reads the texts to predict labels for from a file or from standard input."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from unroll.data.csv_rows import open_table
from unroll.data.schema import DataSchema
from unroll.data.text_files import TABLES, extension, open_text
from unroll.data.tokens import TOKENS

STDIN = "-"
_OBJECTS = (".jsonl", ".json")
_PARQUET = ".parquet"
FORMATS = (".txt", *TABLES, *_OBJECTS, _PARQUET)


def format_of(path: str, kind: str | None = None) -> str:
    """The format of a file of texts, an entry of FORMATS.

    Args:
        path: a file, or `-` for standard input.
        kind: an entry of FORMATS, also without the dot; None takes the extension of the file's name, and lines for
            standard input.

    Raises:
        ValueError: there is no such file, or format.
    """
    kinds, is_stdin = ", ".join(FORMATS), path == STDIN
    if not is_stdin and not Path(path).is_file():
        what = "a folder" if Path(path).is_dir() else "no file" if Path(path).exists() else "no such file"
        raise ValueError(f"{path}: {what}; accepted: {kinds}, or - for standard input")
    if kind is None:
        kind = ".txt" if is_stdin else extension(path)
        if kind not in FORMATS:
            raise ValueError(f"{path}: unknown format {kind!r}; accepted: {kinds}, which --format names too")
    elif (typed := kind) and (kind := f".{typed.lstrip('.')}") not in FORMATS:
        raise ValueError(f"--format={typed}; accepted: {kinds}")
    if is_stdin and kind == _PARQUET:
        raise ValueError(f"standard input as {kind}; accepted: a file of this format")
    return kind


def read_texts(path: str, kind: str, schema: DataSchema) -> Iterator[Any]:
    """Yield what `Predictor.predict` reads: one text per line, row or object.

    Args:
        path: a file, which may be compressed (.gz), or `-` for standard input, in UTF-8.
        kind: what `format_of` returns.
        schema: of the model, which says which columns are the text; others are ignored.

    Raises:
        ValueError: the file cannot be read, or has no texts in the expected place.
    """
    if path == STDIN:
        yield from _texts_of(_standard_input(), "standard input", kind, schema)
    elif kind == _PARQUET:
        yield from _rows_of_parquet(Path(path), schema)
    else:
        with open_text(Path(path)) as lines:
            yield from _texts_of(lines, path, kind, schema)


def _standard_input() -> Iterator[str]:
    """Lines as soon as they arrive."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"standard input, line {number}: not UTF-8 ({error.reason}); accepted: UTF-8") from error


def _texts_of(lines: Iterable[str], name: str, kind: str, schema: DataSchema) -> Iterator[Any]:
    if kind in TABLES:
        return _rows_of_table(lines, name, kind, schema)
    if kind in _OBJECTS:
        return _objects(lines, name, schema)
    return (line.rstrip("\r\n") for line in lines)


def _rows_of_table(lines: Iterable[str], name: str, kind: str, schema: DataSchema) -> Iterator[Any]:
    names, rows = open_table(lines, kind, f"{name} cannot be read as {kind}")
    wanted = [names.index(it) for it in _text_columns(schema, name, [it for it in names if it != TOKENS])]
    for row in rows:
        if row.problem:
            raise ValueError(f"{name}: {row.problem}")
        yield _text([row.cells[i] for i in wanted])


def _objects(lines: Iterable[str], name: str, schema: DataSchema) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{place}: not JSON ({error})") from error
        if isinstance(value, dict):
            keys = [it for it in value if it != TOKENS or isinstance(value[it], list | None)]
            value = _text([value[it] for it in _text_columns(schema, place, keys)])
        yield value


def _rows_of_parquet(path: Path, schema: DataSchema) -> Iterator[Any]:
    from unroll.inference.scoring.job import is_list  # pyarrow, which a plain installation has not
    from unroll.inference.scoring.parquet_input import ParquetInput

    file = ParquetInput(path)
    fields = {it.name: it for it in file.schema()}
    names = [name for name, it in fields.items() if name != TOKENS or is_list(it.type)]
    wanted = _text_columns(schema, str(path), names)
    for values in file.values(wanted):
        yield _text(values)


def _text_columns(schema: DataSchema, place: str, given: list[str]) -> tuple[str, ...]:
    try:
        return schema.text_columns(given)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _text(values: Sequence[Any]) -> Any:
    """A text or its tokens, or a pair."""
    return values[0] if len(values) == 1 else tuple(values)
