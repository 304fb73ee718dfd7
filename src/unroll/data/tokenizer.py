"""Splits a text into tokens, and maps tokens to entries of the vocabulary."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal

from unroll.checks import check_least
from unroll.data.subwords import INSIDE, SubwordModel, Subwords
from unroll.data.text import characters, is_visible, spaced_words, treebank_words, words
from unroll.files import read_json, write_bytes, write_json

SEPARATOR = "<sep>"  # separates the two texts of a pair
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
Split = Literal["words", "treebank", "whitespace", "characters", "spaced"]
_SPLITS: dict[Split, Callable[[str], Iterator[re.Match[str]]]] = {
    "words": words,
    "treebank": treebank_words,
    "whitespace": re.compile(r"\S+").finditer,
    "characters": characters,
    "spaced": spaced_words,
}
_OPTIONS, _MODEL = "tokenizer.json", "subwords.model"
_VERSION = 2  # of tokenizer.json; in files without a version, `words` is what is `spaced` now


@dataclass(frozen=True)
class TokenizerOptions:
    """Options of the tokenizer; a file of `conf/tokenizer`.

    Args:
        split: `words` (words with inner apostrophes, smileys, emoji and runs of punctuation; those of Chinese,
            Japanese, Thai, Lao, Khmer and Burmese are found by dictionaries), `treebank` (the rules of the Penn
            Treebank), `whitespace`, `characters` (`words`, with each character of those languages as a token), or
            `spaced` (`words`, with all that stands between two spaces in those languages as a token). For a dataset
            of given tokens, `words` is replaced by the nearest of these; see `measure_rules`.
        subwords: splits words into subwords with byte pair encoding (`bpe`) or a `unigram` model, trained on the
            training split; None keeps words whole.
        subword_vocabulary: maximum number of subwords, including single characters.
        html_breaks: whether `<br>` is read as a space.
        nfc: whether tokens are normalised to Unicode NFC, which composes accented letters into single characters.
        lowercase: whether entries of the vocabulary are in lower case; casing remains a separate feature.
        numbers: `keep`, or `zeros` to replace every digit by 0 in the vocabulary.

    Raises:
        ValueError: `subword_vocabulary` is below 1.
    """

    split: Split = "words"
    subwords: SubwordModel | None = None
    subword_vocabulary: int = 8000
    html_breaks: bool = True
    nfc: bool = True
    lowercase: bool = True
    numbers: Literal["keep", "zeros"] = "keep"

    def __post_init__(self) -> None:
        check_least(1, **{"tokenizer.subword_vocabulary": self.subword_vocabulary})


class Tokenizer:
    """Tokenizes texts; `subwords` is a trained model that splits words further."""

    FILES = (_OPTIONS, _MODEL)

    def __init__(self, options: TokenizerOptions | None = None, subwords: Subwords | None = None) -> None:
        self.options = options or TokenizerOptions()
        self.subwords = subwords

    def tokenize(self, text: str, second: str | None = None) -> list[str]:
        """Tokenize a text, or a pair of texts joined by SEPARATOR.

        Returns an empty list if a text has no tokens, because all its characters are white space or not shown.
        """
        tokens = [match.group() for match in self._matches(text)]
        if not text.isascii():
            tokens = [self.normalize(token) for token in tokens]
        if self.subwords is not None:
            tokens = [piece for token in tokens for piece in self.pieces(token)]
        if second is None or not tokens:
            return tokens
        others = self.tokenize(second)
        return [*tokens, SEPARATOR, *others] if others else []

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """The start and end (exclusive) of each token of `tokenize` in characters of the text.

        If normalisation changes the length of a word, all its subwords get the offsets of the word.
        """
        if self.subwords is None:
            return [match.span() for match in self._matches(text)]
        offsets: list[tuple[int, int]] = []
        for match in self._matches(text):
            start, end = match.span()
            pieces = self.pieces(self.normalize(match.group()))
            lengths = [len(pieces[0]), *(len(piece) - len(INSIDE) for piece in pieces[1:])]
            is_divided = len(pieces) > 1 and sum(lengths) == end - start
            offsets += pairwise(accumulate(lengths, initial=start)) if is_divided else [(start, end)] * len(pieces)
        return offsets

    def normalize(self, token: str) -> str:
        return token if token.isascii() or not self.options.nfc else unicodedata.normalize("NFC", token)

    def word(self, token: str) -> str:
        """The entry of the vocabulary for a token."""
        word = token.lower() if self.options.lowercase else token
        return _DIGIT.sub("0", word) if self.options.numbers == "zeros" else word

    def pieces(self, token: str) -> list[str]:
        """The subwords of a token, or the token itself if words are kept whole."""
        if self.subwords is None or token == SEPARATOR:
            return [token]
        return self.subwords.split(token, self.word(token))

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and, with subwords, subwords.model in SentencePiece's format into `folder`."""
        write_json(folder / _OPTIONS, {"version": _VERSION, **asdict(self.options)})
        if self.subwords is not None:
            write_bytes(folder / _MODEL, self.subwords.model)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        model = folder / _MODEL
        subwords = Subwords(model.read_bytes()) if model.exists() else None
        options = read_json(folder / _OPTIONS)
        if options.pop("version", 1) == 1 and options.get("split") == "words":
            options["split"] = "spaced"
        return cls(TokenizerOptions(**options), subwords)

    def _matches(self, text: str) -> Iterator[re.Match[str]]:
        if self.options.html_breaks:
            text = _LINE_BREAK.sub(lambda found: " " * len(found.group()), text)
        return _SPLITS[self.options.split](text) if is_visible(text) else iter(())
