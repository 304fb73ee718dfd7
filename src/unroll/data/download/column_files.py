"""Reads CoNLL column files (Tjong Kim Sang and De Meulder 2003).

Each line contains a token and its tags; sentences are separated by empty lines.
"""

from collections.abc import Iterator
from pathlib import Path

_DOCUMENT = "-DOCSTART-"


def read_conll(path: Path) -> dict[str, list[list[str]]]:
    """Read the columns of a file.

    Columns are separated by tabs if the line contains one, otherwise by spaces. Lines that start a document
    (-DOCSTART-) and comments (# and another number of columns) are skipped.

    Returns:
        The columns by name, "0", "1", …; each column has a list of strings per sentence.

    Raises:
        ValueError: the file is not UTF-8, contains no sentence, or the number of columns varies.
    """
    width = 0
    sentences: list[list[list[str]]] = [[]]
    for number, fields in _lines(path):
        if not fields:
            sentences.append([])
        elif fields[0] == _DOCUMENT or (fields[0].startswith("#") and len(fields) != width):
            continue
        elif width and len(fields) != width:
            raise ValueError(f"{path}, line {number}: {len(fields)} columns; accepted: {width}, as in the lines before")
        else:
            width = len(fields)
            sentences[-1].append(fields)
    whole = [sentence for sentence in sentences if sentence]
    if not whole:
        raise ValueError(f"{path} contains no sentence; accepted: lines with a token and its tags")
    return {str(i): [[fields[i] for fields in sentence] for sentence in whole] for i in range(width)}


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        # Only line feeds end a line, because a token may contain another line separator of Unicode.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                text = line.rstrip("\r\n")
                yield number, (text.split("\t") if "\t" in text else text.split(" ")) if text.strip() else []
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error
