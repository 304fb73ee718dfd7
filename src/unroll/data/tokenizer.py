"""From a text to its tokens, and from a token to the word of the vocabulary that it is."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from unroll.data.subwords import INSIDE, SubwordModel, Subwords
from unroll.data.text import between_spaces, words
from unroll.files import read_json, write_json

SEPARATOR = "<sep>"  # between the two texts of a pair
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_SPLITS: dict[str, Callable[[str], Iterator[re.Match[str]]]] = {"words": words, "whitespace": between_spaces}
_OPTIONS, _MODEL = "tokenizer.json", "subwords.model"


@dataclass(frozen=True)
class TokenizerOptions:
    """How a text becomes tokens; a file of `conf/tokenizer`.

    Args:
        split: `words` (with inner apostrophes; smileys, emoji and runs of punctuation are tokens too) or `whitespace`.
        subwords: cuts words into pieces, by byte pair encoding (`bpe`) or a `unigram` model, either trained on the
            training split; None leaves them whole.
        subword_vocabulary: pieces that the model may have, single characters included.
        html_breaks: reads `<br>` as a space.
        nfc: puts tokens into Unicode's form NFC, in which an accented letter is one character wherever it can be.
        lowercase: the vocabulary has words in lower case; networks still see how a token is written.
        numbers: `keep` has them as they are, `zeros` has every digit as 0 in the vocabulary.
    """

    split: Literal["words", "whitespace"] = "words"
    subwords: SubwordModel | None = None
    subword_vocabulary: int = 8000
    html_breaks: bool = True
    nfc: bool = True
    lowercase: bool = True
    numbers: Literal["keep", "zeros"] = "keep"

    def __post_init__(self) -> None:
        if self.subword_vocabulary < 1:
            raise ValueError(f"tokenizer.subword_vocabulary={self.subword_vocabulary}; accepted: 1 or more")


class Tokenizer:
    """What TokenizerOptions say; with trained `subwords`, in pieces."""

    def __init__(self, options: TokenizerOptions | None = None, subwords: Subwords | None = None) -> None:
        self.options = options or TokenizerOptions()
        self.subwords = subwords

    def tokenize(self, text: str, second: str | None = None) -> list[str]:
        """The tokens of a text, or of a pair with SEPARATOR between; an empty list where either has none."""
        tokens = [match.group() for match in self._matches(text)]
        if not text.isascii():
            tokens = [self.normalize(token) for token in tokens]
        if self.subwords is not None:
            tokens = [piece for token in tokens for piece in self.pieces(token)]
        if second is None or not tokens:
            return tokens
        others = self.tokenize(second)
        return [*tokens, SEPARATOR, *others] if others else []

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where each token of `tokenize` stands in the text: its first character, and the one after its last.

        Every piece of a word that normalisation makes longer or shorter stands where the word does.
        """
        spans = [match.span() for match in self._matches(text)]
        if self.subwords is None:
            return spans
        return list(chain.from_iterable(self._piece_places(text, *span) for span in spans))

    def normalize(self, token: str) -> str:
        """A token as the networks see it written."""
        return token if token.isascii() or not self.options.nfc else unicodedata.normalize("NFC", token)

    def word(self, token: str) -> str:
        """The entry of the vocabulary that a token is."""
        word = token.lower() if self.options.lowercase else token
        return _DIGIT.sub("0", word) if self.options.numbers == "zeros" else word

    def pieces(self, token: str) -> list[str]:
        """A word in the pieces that it is read in; itself where words are whole."""
        if self.subwords is None or token == SEPARATOR:
            return [token]
        return self.subwords.cut(token, self.word(token))

    def save(self, folder: Path) -> None:
        """Write tokenizer.json into the folder and, of subwords, subwords.model in SentencePiece's own format."""
        write_json(folder / _OPTIONS, asdict(self.options))
        if self.subwords is not None:
            (folder / _MODEL).write_bytes(self.subwords.model)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        model = folder / _MODEL
        subwords = Subwords(model.read_bytes()) if model.exists() else None
        return cls(TokenizerOptions(**read_json(folder / _OPTIONS)), subwords)

    def _matches(self, text: str) -> Iterator[re.Match[str]]:
        return _SPLITS[self.options.split](_LINE_BREAK.sub(_blank, text) if self.options.html_breaks else text)

    def _piece_places(self, text: str, start: int, end: int) -> list[tuple[int, int]]:
        pieces = self.pieces(self.normalize(text[start:end]))
        if len(pieces) == 1:
            return [(start, end)]
        lengths = [len(pieces[0]), *(len(piece) - len(INSIDE) for piece in pieces[1:])]
        if sum(lengths) != end - start:  # normalisation made it longer or shorter
            return [(start, end)] * len(pieces)
        ends = [start + sum(lengths[: i + 1]) for i in range(len(lengths))]
        return list(zip([start, *ends[:-1]], ends, strict=True))


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())
