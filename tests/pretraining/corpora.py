"""Small corpora for tests of language models."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from unroll.data.encoding import DistinctTokens, TokenEncoder, TokenTable, build_vocabulary
from unroll.data.ragged import Ragged
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import SPECIAL_WORDS


@dataclass
class SmallCorpus:
    """What a language model reads of a corpus."""

    vocabulary: list[str]
    counts: np.ndarray
    table: TokenTable
    sequences: Ragged
    held_out: Ragged
    tokenizer: Tokenizer = field(default_factory=Tokenizer)

    def limited(self, min_count: int = 1, max_words: int | None = None) -> "SmallCorpus":
        assert (min_count, max_words) == (1, None)
        return self


def corpus_of(documents: Sequence[Sequence[str]], held_out: int = 1) -> SmallCorpus:
    """The documents, of which the last `held_out` are held out."""
    distinct = DistinctTokens()
    rows = [distinct.ids(document) for document in documents]
    vocabulary = build_vocabulary(Counter(token.lower() for document in documents for token in document), 1)
    table = TokenEncoder(vocabulary, SPECIAL_WORDS).encode(distinct)
    last = len(documents) - held_out
    learned, held = (Ragged.from_sequences(it, np.int32) for it in (rows[:last], rows[last:]))
    counts = np.bincount(table.words[learned.values], minlength=len(vocabulary))
    return SmallCorpus(vocabulary, counts, table, learned, held)


def numbered(lengths: Sequence[int]) -> SmallCorpus:
    """Documents of these lengths in which all tokens differ: the word of token i of the corpus is `i`."""
    words = iter(range(sum(lengths)))
    return corpus_of([[str(next(words)) for _ in range(length)] for length in lengths], held_out=0)


def cyclic(documents: int = 12, length: int = 20, words: int = 6) -> SmallCorpus:
    """Documents in which each word determines the next, and the one before, but for where a document begins."""
    return corpus_of([[f"w{(start + i) % words}" for i in range(length)] for start in range(documents)], held_out=2)
