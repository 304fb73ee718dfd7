"""A corpus of words becomes one of their pieces."""

from collections import Counter

import numpy as np

from unroll.data.prepare.split_rows import Corpus, SplitRows
from unroll.data.subwords import Subwords
from unroll.data.tokenizer import SEPARATOR, Tokenizer, TokenizerOptions


def train_tokenizer(train: SplitRows, options: TokenizerOptions) -> Tokenizer:
    """A tokenizer whose pieces are of the words of the training split.

    Raises:
        ValueError: more characters than pieces.
    """
    assert options.subwords is not None
    words = Tokenizer(options)
    counts: Counter[str] = Counter()
    for token, count in zip(train.corpus.distinct, train.count_tokens().tolist(), strict=True):
        if count and token != SEPARATOR:
            counts[words.word(token)] += count
    return Tokenizer(options, Subwords.train(counts, options.subwords, options.subword_vocabulary))


def with_inner_tags(names: list[str]) -> list[str]:
    """Tag names, with the I-TYPE of each B-TYPE: an entity of one word may have several pieces."""
    return list(dict.fromkeys([*names, *(f"I-{name[2:]}" for name in names if name.startswith("B-"))]))


def cut_words(splits: dict[str, SplitRows], tokenizer: Tokenizer, label_names: list[str]) -> dict[str, SplitRows]:
    """The splits in pieces; a tag is that of its word's first piece, and the others go on with its entity.

    Args:
        label_names: of a labeling dataset `with_inner_tags`; of another, not looked at.
    """
    before = next(iter(splits.values())).corpus
    corpus = Corpus(before.folder)
    of_word = [corpus.distinct.ids(tokenizer.pieces(token)) for token in before.distinct]
    counts = np.array([0, *map(len, of_word)])
    pieces = np.concatenate([np.zeros(0, np.int32), *of_word])
    firsts = np.cumsum(counts) - counts
    ids = {name: i for i, name in enumerate(label_names)}
    goes_on = np.array([ids.get(f"I-{name[2:]}", i) for i, name in enumerate(label_names)])

    def cut(rows: SplitRows) -> SplitRows:
        start = len(corpus.tokens)
        lengths = [np.zeros(0, np.int64)]
        for block in rows.blocks():
            of_token = counts[block.tokens]  # (M,)
            ends = np.cumsum(of_token)
            # (M',) which piece of its word each is
            steps = np.arange(of_token.sum()) - np.repeat(ends - of_token, of_token)
            corpus.tokens.append(pieces[np.repeat(firsts[block.tokens], of_token) + steps])
            if rows.labels is None:
                tags = np.repeat(block.labels, of_token)
                corpus.tags.append(np.where(steps > 0, goes_on[tags], tags))
            lengths.append(np.diff(np.concatenate([[0], ends])[block.offsets]))
        found = np.concatenate(lengths)
        return SplitRows(corpus, start + np.cumsum(found) - found, found, rows.labels, rows.rows, rows.quarantined)

    return {split: cut(rows) for split, rows in splits.items()}
