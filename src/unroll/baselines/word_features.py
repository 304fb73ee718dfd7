"""Features of words and of their neighbours, for a feature-based tagger."""

from collections.abc import Iterator
from itertools import groupby, pairwise

from unroll.data.encoding import TokenTable
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import SPECIAL_WORDS, Casing

NEIGHBOURS = (-2, -1, 1, 2)
SUFFIXES = (1, 2, 3, 4)
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"  # any character that is missing from the alphabet


class WordFeatures:
    """Standard features for named entities (as in Ratinov and Roth 2009), as strings.

    - Of a token: a constant, its characters, and its suffixes of one to four characters.
    - Of the token and of the two tokens on either side: its word in the vocabulary, its casing, and its shape (see
      `shape`); `nothing` outside the sentence.
    """

    def __init__(self, vocabulary: list[str], alphabet: list[str]) -> None:
        self._vocabulary = vocabulary
        self._characters = [UNKNOWN_CHARACTER] * len(SPECIAL_WORDS) + alphabet[len(SPECIAL_WORDS) :]

    def extract(self, split: EncodedSplit) -> Iterator[list[list[str]]]:
        """Yield the features of each token, sequence by sequence, in the order of the split."""
        own, shared = self._of_distinct_tokens(split.table)
        for tokens in split.sequences:
            rows, sentence = tokens.tolist(), []
            for step, row in enumerate(rows):
                features = [*own[row], *shared[row]]
                for offset in NEIGHBOURS:
                    is_inside = 0 <= step + offset < len(rows)
                    of_neighbour = shared[rows[step + offset]] if is_inside else ["nothing"]
                    features += [f"{offset:+}:{feature}" for feature in of_neighbour]
                sentence.append(features)
            yield sentence

    def _of_distinct_tokens(self, table: TokenTable) -> tuple[list[list[str]], list[list[str]]]:
        """Features of each row of the table: for the token itself only, and for its neighbours too."""
        letters = "".join(self._characters[i] for i in table.spellings.values)
        own, shared = [], []
        for (start, end), word, kind in zip(pairwise(table.spellings.offsets), table.words, table.casing, strict=True):
            spelling = letters[start:end]
            suffixes = [f"suffix={spelling[-size:]}" for size in SUFFIXES if size < len(spelling)]
            own.append(["constant", f"written={spelling}", *suffixes])
            shared.append([f"word={self._vocabulary[word]}", f"casing={Casing(kind).name}", f"shape={shape(spelling)}"])
        return own, shared


def shape(spelling: str) -> str:
    """Map upper-case letters to X, other letters to x, digits to d, and runs to one character: `Ab-2024` → `Xx-d`."""
    kinds = (
        "X" if letter.isupper() else "x" if letter.isalpha() else "d" if letter.isdigit() else letter
        for letter in spelling
    )
    return "".join(kind for kind, _ in groupby(kinds))
