"""New text and its tags in the form that the prepare stage gave to those in train."""

from dataclasses import replace

import numpy as np

from unroll.data.encoding import TokenEncoder
from unroll.data.prepare.lengths import TooLong, limit_length
from unroll.data.prepare.split_rows import Corpus, SplitRows
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.drift.labels import LabelSet
from unroll.drift.new_text import NewText


def encode(text: NewText, data: PreparedData) -> EncodedSplit:
    """With labels that mean nothing."""
    tokens, offsets, rows = _shorten(text.tokens, text.offsets, None, data)
    return EncodedSplit(
        task=data.task,
        table=TokenEncoder.of(data.schema).encode(text.distinct),
        tokens=tokens,
        labels=np.zeros(len(tokens), np.int64),  # enough for any task, and not looked at
        offsets=offsets,
        rows=rows,
    )


def shorten_labels(labels: LabelSet, data: PreparedData) -> LabelSet:
    """Tags go with their tokens; labels of a whole text stay."""
    if labels.task != "labeling":
        return labels
    goes_on = np.array([name.startswith("I-") for name in labels.names])
    tags, offsets, _ = _shorten(labels.labels, labels.offsets, goes_on, data)
    return replace(labels, labels=tags, offsets=offsets)


def _shorten(
    values: np.ndarray, offsets: np.ndarray, inside: np.ndarray | None, data: PreparedData
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, offsets and rows; where sequences of train were too long, all are as `limit_length` made those."""
    count = len(offsets) - 1
    if not data.description["splits"]["train"]["too_long"]:
        return values, offsets, np.arange(count)
    train = data.split("train")
    too_long: TooLong = "split" if (np.diff(train.rows) == 0).any() else "truncate"
    corpus = Corpus()
    corpus.tokens.append(values)
    corpus.tags.append(values)
    labels = np.zeros(count, np.int64) if inside is None else None
    rows = SplitRows(corpus, offsets[:-1], np.diff(offsets), labels, np.arange(count))
    cut = limit_length(rows, int(train.lengths.max()), too_long, np.zeros(0, bool) if inside is None else inside)
    blocks = list(cut.blocks())
    return (
        np.concatenate([block.tokens for block in blocks]),
        np.concatenate([[0], np.cumsum(cut.lengths)]),
        cut.rows,
    )
