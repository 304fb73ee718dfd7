"""Small corpora for tests of language models."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from unroll.data.encoding import DistinctTokens, TokenEncoder, build_vocabulary
from unroll.data.ragged import Ragged
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import SPECIAL_WORDS
from unroll.pretraining.corpus import TokenCorpus


def corpus_of(documents: Sequence[Sequence[str]], held_out: int = 1) -> TokenCorpus:
    """The documents, of which the last `held_out` are held out."""
    distinct = DistinctTokens()
    rows = [distinct.ids(document) for document in documents]
    vocabulary = build_vocabulary(Counter(token.lower() for document in documents for token in document), 1)
    table = TokenEncoder(vocabulary, SPECIAL_WORDS).encode(distinct)
    last = len(documents) - held_out
    learned, held = (Ragged.from_sequences(it, np.int32) for it in (rows[:last], rows[last:]))
    counts = np.bincount(table.words[learned.values], minlength=len(vocabulary))
    return TokenCorpus(vocabulary, counts, SPECIAL_WORDS, Tokenizer(), table, learned, held, checksum="")


def numbered(lengths: Sequence[int]) -> TokenCorpus:
    """Documents of these lengths in which all tokens differ: the word of token i of the corpus is `i`."""
    words = iter(range(sum(lengths)))
    return corpus_of([[str(next(words)) for _ in range(length)] for length in lengths], held_out=0)


def cyclic(documents: int = 12, length: int = 20, words: int = 6) -> TokenCorpus:
    """Documents in which each word determines the next, and the one before, but for where a document begins."""
    return corpus_of([[f"w{(start + i) % words}" for i in range(length)] for start in range(documents)], held_out=2)
