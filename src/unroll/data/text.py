"""From characters to tokens, and from a token to what the networks see of it."""

import re
from enum import IntEnum

_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
# A word with its inner apostrophes (isn't), or a run of one punctuation character (..., !!).
_TOKEN = re.compile(r"\w+(?:['’]\w+)*|([^\w\s])\1*")


def tokenize(text: str) -> list[str]:
    """Split a text into words and punctuation; HTML line breaks count as spaces."""
    return [match.group() for match in _TOKEN.finditer(_LINE_BREAK.sub(" ", text))]


class Casing(IntEnum):
    """How a token is written, next to the lower-cased word that it is (Collobert et al. 2011, section 6.1)."""

    PADDING = 0
    LOWER = 1
    CAPITALISED = 2
    UPPER = 3
    MIXED = 4
    DIGITS = 5
    OTHER = 6


def casing(token: str) -> Casing:
    if any(character.isdigit() for character in token):
        return Casing.DIGITS
    if not any(character.isalpha() for character in token):
        return Casing.OTHER
    if token == token.lower():
        return Casing.LOWER
    if token == token.upper():
        return Casing.CAPITALISED if len(token) == 1 else Casing.UPPER
    if token[0].isupper() and token[1:] == token[1:].lower():
        return Casing.CAPITALISED
    return Casing.MIXED
