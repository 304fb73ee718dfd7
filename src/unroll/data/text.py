"""Finds words in a text, and classifies their casing."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain

from unroll.data.tokens import Casing

# Accents, vowel signs and variation selectors, which belong to the preceding character.
_MARKS = {
    chr(code)
    for code in chain(range(0x20000), range(0xE0100, 0xE01F0))
    if unicodedata.category(chr(code)).startswith("M")
}
_JOINERS = {"\u200c", "\u200d"}
_SKIN_TONES = set("🏻🏼🏽🏾🏿")

# :) :-( ;D =P :'( and <3, unless followed by a word character or a slash (as in ://).
_SMILEY = r"(?:[:;=][-o*']?[)\](\[dDpPoO/\\|@}{]|(?<!\w)<3)(?![\w/])"
# A word with its inner apostrophes (isn't), a smiley, or a run of one punctuation character (..., !!).
_PLAIN_TOKEN = re.compile(rf"\w+(?:['’]\w+)*|{_SMILEY}|([^\w\s])\1*")
# The same with marks after any character and emoji of several characters. Five times slower, so it is used only for
# texts that contain such characters.
_MODIFIERS = _MARKS | _JOINERS | _SKIN_TONES
_WORD = rf"\w[\w{''.join(sorted(_MARKS | _JOINERS))}]*"
_TOKEN = re.compile(
    rf"{_WORD}(?:['’]{_WORD})*|{_SMILEY}"
    rf"|([^\w\s])(?:\1+|(?:[{''.join(sorted(_MARKS | _SKIN_TONES))}]|\u200d[^\w\s])+)?"
)


def words(text: str) -> Iterator[re.Match[str]]:
    """Match words with inner apostrophes, smileys, emoji and runs of one punctuation character."""
    is_plain = text.isascii() or _MODIFIERS.isdisjoint(text)
    return (_PLAIN_TOKEN if is_plain else _TOKEN).finditer(text)


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
