"""Column files (Tjong Kim Sang and De Meulder 2003): a token a line with its tags, an empty line between sentences."""

from collections.abc import Iterator
from pathlib import Path

_DOCUMENT = "-DOCSTART-"


def read_conll(path: Path) -> dict[str, list[list[str]]]:
    """The columns of a file, named "0", "1", …: a list of strings a sentence.

    Columns stand between tabs where a line has one, else between spaces. Lines that begin a document (-DOCSTART-) or
    are comments (# and another number of columns) are skipped.

    Raises:
        ValueError: the file is not UTF-8, has no sentence, or a line has another number of columns.
    """
    width = 0
    sentences: list[list[list[str]]] = [[]]
    for number, fields in _lines(path):
        if not fields:
            sentences.append([])
        elif fields[0] == _DOCUMENT or (fields[0].startswith("#") and len(fields) != width):
            continue
        elif width and len(fields) != width:
            raise ValueError(f"{path}, line {number}: {len(fields)} columns, where the lines before have {width}")
        else:
            width = len(fields)
            sentences[-1].append(fields)
    whole = [sentence for sentence in sentences if sentence]
    if not whole:
        raise ValueError(f"{path} has no sentence; accepted: a token a line, and its tags beside it")
    return {str(i): [[fields[i] for fields in sentence] for sentence in whole] for i in range(width)}


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        # Split at line feeds alone: a token may be a character that Unicode counts as the end of a line.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                text = line.rstrip("\r\n")
                yield number, (text.split("\t") if "\t" in text else text.split(" ")) if text.strip() else []
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error
