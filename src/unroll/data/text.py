"""Finds words in a text by several rules, and classifies their casing."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache, partial
from itertools import accumulate, chain, pairwise
from unicodedata import category

from icu4py.breakers import WordBreaker

from unroll.data.tokens import Casing

# Most non-ASCII texts in Latin script: letters, curly quotes, dashes, currencies. Found faster than other characters.
_LATIN = re.compile("[\0-\u02ff\u2010-\u2027\u20a0-\u20bf]*")
# Letters and vowel signs of scripts without spaces between words: Thai, Lao, Burmese, Khmer; Kana and Han.
_LETTERS = (
    "\u0e01-\u0edf\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f\u1780-\u17dd"
    "\u3005-\u3007\u3021-\u303b\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{_LETTERS}]")
_ONLY_UNSPACED = re.compile(f"[{_LETTERS}\u3000-\u303f\uff01-\uff65]+")  # or their punctuation
# Accents, vowel signs and variation selectors, which belong to the preceding character.
_MARKS = {
    character
    for character in map(chr, chain(range(0x3400), range(0xA000, 0x20000), range(0xE0100, 0xE01F0)))  # none among Han
    if category(character) in {"Mn", "Mc", "Me"}
}
_JOINERS = {"\u200c", "\u200d"}
_SKIN_TONES = set("🏻🏼🏽🏾🏿")
# Anything but white space, control characters, and those that Unicode says are not shown: soft hyphens, zero-width
# spaces, byte order marks, joiners, directions, fillers, variation selectors, tags.
VISIBLE_CHARACTER = (
    "[^\\s\\x00-\\x1f\\x7f-\\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_VISIBLE = re.compile(VISIBLE_CHARACTER)

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
_ANY = re.compile(".+", re.DOTALL)

# Divide a word of scripts without spaces: at the word boundaries of Unicode's UAX #29, which ICU finds in dictionaries
# for these scripts, or into characters with their marks.
_in_words = partial(WordBreaker, locale="root")
_in_characters = re.compile(f"[{_LETTERS}][{''.join(sorted(_MARKS))}]*|[^{_LETTERS}]+").findall


@cache
def _treebank(is_plain: bool) -> re.Pattern[str]:
    """The rules of the Penn Treebank, with the inner hyphens and abbreviations of CoNLL-2003."""
    letter = r"\w" if is_plain else rf"\w[{''.join(sorted(_MARKS | _JOINERS))}]*"
    symbol = r"[^\w\s]" if is_plain else rf"[^\w\s](?:[{''.join(sorted(_MARKS | _SKIN_TONES))}]|\u200d[^\w\s])*"
    word, negation, clitic = f"(?:{letter})+", r"[nN]['’][tT]\b", r"['’](?:[sSmMdD]|re|ve|ll|RE|VE|LL)\b"
    return re.compile(
        rf"""(?:[^\W\d_]\.){{2,}}(?:-{word}|[^\W\d_]\b)?           # U.S. U.S.-led
        |(?:[^\W\d_]|Mr|Mrs|Ms|Dr|Prof|Gen|Gov|Sen|Rep|Lt|Col|Sgt|Capt|St|Jr|Sr|Inc|Corp|Ltd|Co|No|vs
           |Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.(?!\w|\s*$)            # J. Mr. but not at the end of the text
        |(?<!\S)\d{{1,2}}\.(?=\s+\S)                             # 2. before an item
        |[A-Z]{{1,3}}\$                                          # US$
        |(?:(?!{negation}){letter})+(?={negation})|{negation}|{clitic}  # do n't, Ada 's
        |(?:(?<!\S)[-+.])?{word}(?:(?!{clitic})[^\w\s]{word})*  # -1.5 .500 Anglo-Irish 1996-08-22 AT&T
        |([-.`'*=])\1+|{symbol}""",
        re.VERBOSE,
    )


def spaced_words(text: str) -> Iterator[re.Match[str]]:
    """Match words with inner apostrophes, smileys, emoji and runs of one punctuation character."""
    return (_PLAIN_TOKEN if _is_plain(text) else _TOKEN).finditer(text)


def words(text: str) -> Iterator[re.Match[str]]:
    """The same as `spaced_words`, with the words of scripts without spaces divided by dictionaries."""
    return _divided(text, spaced_words(text))


def treebank_words(text: str) -> Iterator[re.Match[str]]:
    """Match words as the Penn Treebank divides them: punctuation and ``'s`` apart, hyphens and abbreviations not."""
    return _divided(text, _treebank(_is_plain(text)).finditer(text))


def characters(text: str) -> Iterator[re.Match[str]]:
    """The same as `words`, with every character of the scripts without spaces as a token."""
    return _divided(text, spaced_words(text), _in_characters)


def is_visible(text: str) -> bool:
    """Whether a text contains a character that is shown."""
    return _VISIBLE.search(text) is not None


def is_unspaced(text: str) -> bool:
    """Whether all characters belong to scripts without spaces between words."""
    return _ONLY_UNSPACED.fullmatch(text) is not None


def _is_plain(text: str) -> bool:
    return text.isascii() or _LATIN.fullmatch(text) is not None or _MODIFIERS.isdisjoint(text)


def _divided(
    text: str, matches: Iterator[re.Match[str]], divide: Callable[[str], Iterable[str]] = _in_words
) -> Iterator[re.Match[str]]:
    """Divide words of scripts without spaces, in whose texts a zero-width space is a space."""
    if text.isascii() or _LATIN.fullmatch(text) or not _UNSPACED.search(text):
        return matches
    pieces = chain.from_iterable(_pieces(match, divide) for match in matches)
    return (piece for piece in pieces if piece.group().strip("\u200b"))


def _pieces(match: re.Match[str], divide: Callable[[str], Iterable[str]]) -> Iterator[re.Match[str]]:
    token = match.group()
    if match.lastindex or not _UNSPACED.search(token):  # a group is a run of punctuation
        return iter([match])
    ends = accumulate(map(len, divide(token)), initial=match.start())
    return (piece for a, b in pairwise(ends) if (piece := _ANY.match(match.string, a, b)))


@lru_cache(maxsize=1 << 16)
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
