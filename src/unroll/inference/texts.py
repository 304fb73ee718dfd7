"""Reads the texts to predict labels for from a file or from standard input."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from unroll.data.text_files import extension, open_text
from unroll.data.tokens import PAIR, TEXT, TOKENS

STDIN = "-"


def read_texts(path: str, kind: str | None = None) -> Iterator[Any]:
    """Yield what `Predictor.predict` reads: one text per line, row or object.

    Args:
        path: a file, which may be compressed (.gz), or `-` for standard input, in UTF-8.
        kind: an entry of FORMATS; None takes the extension of the file's name, and lines for standard input.

    Raises:
        ValueError: the file cannot be read, or has no texts in the expected place.
    """
    kind = kind or (".txt" if path == STDIN else extension(path))
    if kind not in FORMATS:
        raise ValueError(f"{path}: unknown format {kind!r}; accepted: {', '.join(FORMATS)}, which --format names too")
    if path == STDIN:
        yield from FORMATS[kind](_standard_input(), "standard input")
        return
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file; accepted: {', '.join(FORMATS)}, or - for standard input")
    with open_text(Path(path)) as lines:
        yield from FORMATS[kind](lines, path)


def _standard_input() -> Iterator[str]:
    """Lines as soon as they arrive."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"standard input, line {number}: not UTF-8 ({error.reason}); accepted: UTF-8") from error


def _lines(lines: Iterable[str], name: str) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines)


def _table(lines: Iterable[str], name: str, delimiter: str = ",") -> Iterator[Any]:
    csv.field_size_limit(1 << 30)
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        columns = reader.fieldnames or []
        if TEXT not in columns:
            raise ValueError(f"{name} has the columns {', '.join(columns)}; accepted: one named {TEXT}")
        for row in reader:
            yield (row[TEXT], row[PAIR]) if PAIR in columns else row[TEXT]
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: {error}") from error


def _objects(lines: Iterable[str], name: str) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{name}, line {number}: not JSON ({error})") from error
        if isinstance(value, dict):
            if not value.keys() & {TEXT, TOKENS}:
                raise ValueError(f"{name}, line {number} has the keys {', '.join(value)}; accepted: {TEXT} or {TOKENS}")
            text = value.get(TOKENS, value.get(TEXT))
            value = (text, value[PAIR]) if PAIR in value else text
        yield value


FORMATS: dict[str, Callable[[Iterable[str], str], Iterator[Any]]] = {
    ".txt": _lines,
    ".csv": _table,
    ".tsv": lambda lines, name: _table(lines, name, delimiter="\t"),
    ".jsonl": _objects,
    ".json": _objects,
}
