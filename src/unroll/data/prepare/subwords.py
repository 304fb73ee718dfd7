"""Splits the words of a corpus into subwords."""

from collections import Counter
from dataclasses import replace

import numpy as np

from unroll.data.prepare.labels import Labels
from unroll.data.prepare.split_rows import Corpus, SplitRows
from unroll.data.ragged import Ragged
from unroll.data.subwords import Subwords
from unroll.data.tokenizer import SEPARATOR, Tokenizer, TokenizerOptions


def train_tokenizer(train: SplitRows, options: TokenizerOptions) -> Tokenizer:
    """The tokenizer with these options, its subword model, if any, trained on the words of the training split."""
    words = Tokenizer(options)
    if options.subwords is None:
        return words
    counts: Counter[str] = Counter()
    for token, count in train.count_tokens().items():
        if token != SEPARATOR:
            counts[words.word(token)] += count
    return Tokenizer(options, Subwords.train(counts, options.subwords, options.subword_vocabulary))


def split_words(splits: dict[str, SplitRows], tokenizer: Tokenizer, labels: Labels) -> dict[str, SplitRows]:
    """Replace each word by its subwords.

    The first subword of a word gets the tag of the word; the others get the I-TYPE of its entity, if any, and otherwise
    the same tag.
    """
    before = next(iter(splits.values())).corpus
    corpus = Corpus(before.folder)
    subwords = Ragged.from_sequences(  # row 0 is for padding
        [[], *(corpus.distinct.ids(tokenizer.pieces(token)) for token in before.distinct)], np.int32
    )
    ids = {name: i for i, name in enumerate(labels.names)} if labels.task == "labeling" else {}
    continued = np.array([ids.get(f"I-{name[2:]}", i) for i, name in enumerate(labels.names)])

    def split(rows: SplitRows) -> SplitRows:
        start = len(corpus.tokens)
        lengths = [np.zeros(0, np.int64)]
        for block in rows.blocks():
            found = subwords.take(block.values)  # the subwords of each token
            corpus.tokens.append(found.values)
            lengths.append(np.diff(found.offsets[block.offsets]))
        if rows.labels is None:
            for block, tags in zip(rows.blocks(), rows.tag_blocks(), strict=True):
                counts = subwords.lengths[block.values]  # (M,)
                of_subwords = continued[np.repeat(tags.values, counts)]
                of_subwords[np.cumsum(counts) - counts] = tags.values
                corpus.tags.append(of_subwords)
        sizes = np.concatenate(lengths)
        return replace(rows, corpus=corpus, starts=start + np.cumsum(sizes) - sizes, lengths=sizes)

    return {name: split(rows) for name, rows in splits.items()}
