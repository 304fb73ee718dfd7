"""Reads CoNLL column files."""

import re
from pathlib import Path

from unroll.data.text_files import open_text

_NO_TOKEN = re.compile(r"\d+[-.]\d+")  # in CoNLL-U, the number of a range of tokens (2-3) or of an empty node (4.1)


def read_conll(path: Path) -> dict[str, list[list[str]]]:
    """Read a CoNLL column file: lines with a token and its tags, and empty lines between sentences.

    Columns are separated by tabs if the line contains one, otherwise by spaces. A line that starts a document
    (-DOCSTART-) ends a sentence. A line that begins with # is a comment unless it has the columns of a token; if a
    space follows the #, its last column must also occur in another line. Where the first column numbers the tokens, as
    in CoNLL-U, lines of ranges (2-3) and empty nodes (4.1) are skipped. Returns the columns by name, "0", "1", …; each
    column has a list of strings per sentence.

    Raises:
        ValueError: the file cannot be read or decoded, contains no sentence, or the number of columns varies.
    """
    # Only LF, CRLF and CR end a line, because a token may contain another line separator of Unicode.
    with open_text(path) as file:
        lines = [(line.startswith("#"), line.startswith("# "), _fields(line)) for line in file]
    plain = [fields for is_hash, _, fields in lines if fields and not is_hash and fields[0] != "-DOCSTART-"]
    width = len(plain[0]) if plain else max((len(fields) for *_, fields in lines), default=0)
    last_column = {fields[-1] for fields in plain}
    sentences: list[list[list[str]]] = [[]]
    for number, (is_hash, is_spaced, fields) in enumerate(lines, start=1):
        if not fields or fields[0] == "-DOCSTART-":
            sentences.append([])
        elif is_hash and (len(fields) != width or (is_spaced and fields[-1] not in last_column)):
            continue  # a comment
        elif len(fields) != width:
            raise ValueError(f"{path}, line {number}: {len(fields)} columns; accepted: {width}, as in the lines before")
        else:
            sentences[-1].append(fields)
    whole = _tokens_only([sentence for sentence in sentences if sentence])
    if not whole:
        raise ValueError(f"{path} contains no sentence; accepted: lines with a token and its tags")
    return {str(i): [[fields[i] for fields in sentence] for sentence in whole] for i in range(width)}


def _fields(line: str) -> list[str]:
    if line.isspace():
        return []
    line = line.strip(" \t\r\n")
    if "\t" in line:
        return [field.strip(" ") for field in line.split("\t")]
    return [field for field in line.split(" ") if field]


def _tokens_only(sentences: list[list[list[str]]]) -> list[list[list[str]]]:
    """Leave out ranges and empty nodes, if the first column numbers the tokens of every sentence."""
    tokens = [[fields for fields in sentence if not _NO_TOKEN.fullmatch(fields[0])] for sentence in sentences]
    is_numbered = all(
        sentence and sentence[0][0] == "1" and all(fields[0].isdecimal() for fields in sentence) for sentence in tokens
    )
    return tokens if is_numbered else sentences
