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
    """What `Predictor.predict` reads: one text per line, row or object.

    Args:
        path: a file, which may be compressed (.gz), or `-` for standard input, in UTF-8.
        kind: an entry of FORMATS, also without the dot; None takes the extension of the file's name, and lines for
            standard input.

    Raises:
        ValueError: there is no such file, or format; and while it is read, it cannot be, or has no texts in the
            expected place.
    """
    kinds, is_stdin = ", ".join(FORMATS), path == STDIN
    if not is_stdin and not Path(path).is_file():
        what = "a folder" if Path(path).is_dir() else "no file" if Path(path).exists() else "no such file"
        raise ValueError(f"{path}: {what}; accepted: {kinds}, or - for standard input")
    if kind is None:
        kind = ".txt" if is_stdin else extension(path)
        if kind not in FORMATS:
            raise ValueError(f"{path}: unknown format {kind!r}; accepted: {kinds}, which --format names too")
    elif (kind := f".{kind.lstrip('.')}") not in FORMATS:
        raise ValueError(f"--format={kind}; accepted: {kinds}")
    return FORMATS[kind](_standard_input(), "standard input") if is_stdin else _of_file(Path(path), FORMATS[kind])


def _of_file(path: Path, form: "Format") -> Iterator[Any]:
    with open_text(path) as lines:
        yield from form(lines, str(path))


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
            what = f"has the columns {', '.join(columns)}" if columns else "is empty"
            raise ValueError(f"{name} {what}; accepted: a column named {TEXT}")
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


Format = Callable[[Iterable[str], str], Iterator[Any]]
FORMATS: dict[str, Format] = {
    ".txt": _lines,
    ".csv": _table,
    ".tsv": lambda lines, name: _table(lines, name, delimiter="\t"),
    ".jsonl": _objects,
    ".json": _objects,
}
