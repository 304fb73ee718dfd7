"""Finds the rule of the tokenizer that divides text most like the given tokens of a dataset."""

import re
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from unroll.data.prepare.split_rows import SplitRows
from unroll.data.text import is_unspaced
from unroll.data.tokenizer import Split, Tokenizer, TokenizerOptions

SENTENCES = 2000  # drawn evenly from train
_RULES: tuple[Split, ...] = ("words", "treebank", "whitespace", "characters")  # the first of equal ones is chosen
# Tokens without a space before, or after them.
_CLOSING = re.compile(r"[.,:;!?%)\]}]+|n['’]t|['’](?:s|m|d|re|ve|ll)?", re.IGNORECASE)
_OPENING = re.compile(r"[(\[{$£€]")


class Shares(NamedTuple):
    """Shares of the sentences whose tokens a rule finds: `joined` by spaces, and `written` as in a text."""

    joined: float
    written: float


def measure_rules(train: SplitRows, options: TokenizerOptions) -> dict[Split, Shares]:
    """Measure on sentences of train how well the rules for `TokenizerOptions.split` find their tokens."""
    words = list(train.corpus.distinct)
    chosen = np.unique(np.linspace(0, len(train) - 1, SENTENCES).astype(np.int64))
    sentences = [[words[i - 1] for i in ids] for block in train.take(chosen).blocks() for ids in block]
    shares: dict[Split, Shares] = {}
    for rule in _RULES:
        tokenize = Tokenizer(TokenizerOptions(rule, html_breaks=options.html_breaks, nfc=options.nfc)).tokenize
        shares[rule] = Shares(
            *(float(np.mean([tokenize(form(it)) == it for it in sentences])) for form in (" ".join, written))
        )
    return shares


def nearest(shares: dict[Split, Shares]) -> Split:
    """The rule with the highest mean share."""
    return max(shares, key=lambda rule: sum(shares[rule]))


def written(tokens: list[str]) -> str:
    """The tokens as in a text: no space before a comma, after a bracket, or between words of scripts without spaces."""
    spaces = (
        "" if _CLOSING.fullmatch(b) or _OPENING.fullmatch(a) or is_unspaced(a[-1] + b[0]) else " "
        for a, b in pairwise(tokens)
    )
    return tokens[0] + "".join(space + token for space, token in zip(spaces, tokens[1:], strict=True))
