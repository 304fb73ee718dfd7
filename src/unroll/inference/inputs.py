"""Reads the texts that labels are predicted for."""

import logging
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from unroll.data.encoding import DistinctTokens, TokenEncoder
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.schema import DataSchema
from unroll.data.text import is_visible

log = logging.getLogger("unroll")
_SURROGATE = re.compile("[\ud800-\udfff]")


class TextInput(NamedTuple):
    """A text and the tokens that the model reads; given tokens, and the position of the first that is read of each."""

    tokens: list[str]
    text: str
    words: list[str] | None = None
    starts: list[int] | None = None


class TextReader:
    """Converts texts to what a model of the given schema reads."""

    def __init__(self, schema: DataSchema) -> None:
        self._schema = schema
        self._encoder = TokenEncoder.of(schema)
        self._has_warned = False

    def read(self, text: Any, name: str) -> TextInput:
        """Tokenize a text, a pair of texts, or a list of tokens; `name` is the text's in messages.

        Raises:
            ValueError: the value is of another kind than the model reads, or has no tokens.
        """
        tokenizer, is_pair, takes_tokens = self._schema.tokenizer, self._schema.is_pair, self._schema.takes_tokens
        if takes_tokens and isinstance(text, list | tuple | np.ndarray):
            words = text.tolist() if isinstance(text, np.ndarray) else list(text)
            if not all(isinstance(word, str) and word for word in words) or not any(map(is_visible, words)):
                accepted = "accepted as tokens: one or more strings, none empty"
                raise ValueError(f"{name} is {_shown(text)}; {accepted}")
            _check_characters(words, text, name)
            pieces = [tokenizer.pieces(tokenizer.normalize(word)) for word in words]
            starts = list(accumulate(map(len, pieces[:-1]), initial=0))
            return TextInput([piece for of_word in pieces for piece in of_word], " ".join(words), words, starts)
        parts = tuple(text) if is_pair and isinstance(text, list | tuple | np.ndarray) else (text,)
        if len(parts) != 1 + is_pair or not all(isinstance(part, str) for part in parts):
            accepted = "a pair of texts" if is_pair else "a text or a list of tokens" if takes_tokens else "a text"
            raise ValueError(f"{name} is {_shown(text)}; accepted by this model: {accepted}")
        _check_characters(parts, text, name)
        tokens = tokenizer.tokenize(*parts)
        if not tokens:
            raise ValueError(f"{name} is empty: {_shown(text)}; accepted: text with at least one token")
        if self._schema.given_tokens and not self._has_warned:
            self._has_warned = True
            log.warning(
                "this model was trained on given tokens: texts are divided by the tokenizer %r, which may find other "
                "tokens; pass lists of tokens to have them labelled as they are",
                tokenizer.options.split,
            )
        return TextInput(tokens, parts[0])

    def encode(self, inputs: list[TextInput]) -> EncodedSplit:
        """Encode the tokens of the texts, in their order; the labels are not used."""
        distinct = DistinctTokens()
        rows = np.concatenate([distinct.ids(sequence.tokens) for sequence in inputs])
        return EncodedSplit(
            task=self._schema.task,
            table=self._encoder.encode(distinct),
            sequences=Ragged.from_lengths(rows, [len(sequence.tokens) for sequence in inputs]),
            labels=np.zeros(len(rows), np.int64),  # not used; long enough for any task
            rows=np.arange(len(inputs)),
        )


def _check_characters(parts: Sequence[str], text: Any, name: str) -> None:
    """Refuse what no file and no library can store, such as the first half of an emoji that a program has cut."""
    if not all(map(str.isascii, parts)) and _SURROGATE.search("".join(parts)):
        raise ValueError(f"{name} contains half a character (a surrogate): {_shown(text)}; accepted: whole characters")


def _shown(text: Any) -> str:
    """A text as one short line, for messages."""
    lines = repr(text).splitlines()
    line = " ".join(" ".join(lines).split()) if len(lines) > 1 else lines[0]
    return f"{line[:80]}…" if len(line) > 80 else line
