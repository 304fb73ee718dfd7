"""From characters to tokens, and from a token to what the networks see of it."""

import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum
from itertools import chain

_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
# Accents, vowel signs, variation selectors: what belongs to the character before it.
_MARKS = {
    chr(code)
    for code in chain(range(0x20000), range(0xE0100, 0xE01F0))
    if unicodedata.category(chr(code)).startswith("M")
}
_JOINERS = {"\u200c", "\u200d"}
_SKIN_TONES = set("🏻🏼🏽🏾🏿")

# A word with its inner apostrophes (isn't), or a run of one punctuation character (..., !!).
_PLAIN_TOKEN = re.compile(r"\w+(?:['’]\w+)*|([^\w\s])\1*")
# The same with marks after any character, and emoji of several. It is five times as slow, so it reads only the texts
# that have such characters.
_MODIFIERS = _MARKS | _JOINERS | _SKIN_TONES
_WORD = rf"\w[\w{''.join(sorted(_MARKS | _JOINERS))}]*"
_TOKEN = re.compile(
    rf"{_WORD}(?:['’]{_WORD})*"
    rf"|([^\w\s])(?:\1+|(?:[{''.join(sorted(_MARKS | _SKIN_TONES))}]|\u200d[^\w\s])+)?"
)


def tokenize(text: str) -> list[str]:
    """Split a text into words and punctuation, in Unicode's form NFC; HTML line breaks count as spaces."""
    tokens = [match.group() for match in _matches(text)]
    return tokens if text.isascii() else [compose(token) for token in tokens]


def token_places(text: str) -> list[tuple[int, int]]:
    """Where each token of `tokenize` stands in the text: its first character, and the one after its last."""
    return [match.span() for match in _matches(text)]


def _matches(text: str) -> Iterator[re.Match[str]]:
    is_plain = text.isascii() or _MODIFIERS.isdisjoint(text)
    pattern = _PLAIN_TOKEN if is_plain else _TOKEN
    return pattern.finditer(_LINE_BREAK.sub(_blank, text))


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def compose(token: str) -> str:
    """Unicode's form NFC, in which an accented letter is one character wherever it can be."""
    return token if token.isascii() else unicodedata.normalize("NFC", token)


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
