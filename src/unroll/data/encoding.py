"""Words to numbers: the vocabulary, and what the networks see of a token."""

from collections.abc import Iterable, Sequence

import numpy as np

from unroll.data.text import casing

PADDING = 0
UNKNOWN = 1
SPECIAL_WORDS = ["<pad>", "<unk>"]


def build_vocabulary(words: Sequence[str], counts: np.ndarray, min_count: int) -> list[str]:
    """Special words first, then by falling count and by alphabet, so that equal data give equal files."""
    kept = [i for i in np.flatnonzero(counts >= min_count).tolist() if words[i] not in SPECIAL_WORDS]
    return SPECIAL_WORDS + [words[i] for i in sorted(kept, key=lambda i: (-counts[i], words[i]))]


class TokenEncoder:
    """Tokens to the ids of their lower-cased words and to their casing."""

    def __init__(self, vocabulary: list[str]) -> None:
        self._ids = {word: i for i, word in enumerate(vocabulary) if i != PADDING}  # no token is padding

    def encode(self, tokens: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return word ids (T,) int32 and casing (T,) uint8; a word outside the vocabulary is `<unk>`."""
        tokens = list(tokens)
        words = [self._ids.get(token.lower(), UNKNOWN) for token in tokens]
        return np.array(words, np.int32), np.array([casing(token) for token in tokens], np.uint8)
