"""New text and its tags in the form that the prepare stage gave to those in train."""

from dataclasses import replace

import numpy as np

from unroll.data.encoding import TokenEncoder
from unroll.data.lengths import TooLong, limit_length
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.rows import SplitRows
from unroll.drift.labels import LabelSet
from unroll.drift.new_text import NewText


def encode(text: NewText, data: PreparedData) -> EncodedSplit:
    """With labels that mean nothing."""
    labels = np.zeros(len(text.offsets) - 1, np.int64)
    rows = _shorten(text.tokens, labels, text.offsets, None, data)
    return EncodedSplit(
        task=data.task,
        table=TokenEncoder(data.vocabulary, data.alphabet).encode(text.distinct),
        tokens=rows.tokens,
        labels=np.zeros(len(rows.tokens), np.int64),  # enough for any task, and not looked at
        offsets=rows.offsets,
        rows=rows.rows,
    )


def shorten_labels(labels: LabelSet, data: PreparedData) -> LabelSet:
    """Tags go with their tokens; labels of a whole text stay."""
    if labels.task != "labeling":
        return labels
    goes_on = np.array([name.startswith("I-") for name in labels.names])
    rows = _shorten(labels.labels, labels.labels, labels.offsets, goes_on, data)
    return replace(labels, labels=rows.labels, offsets=rows.offsets)


def _shorten(
    tokens: np.ndarray, labels: np.ndarray, offsets: np.ndarray, inside: np.ndarray | None, data: PreparedData
) -> SplitRows:
    """Where sequences of train were too long, all are as `limit_length` made those."""
    rows = SplitRows(tokens, labels, offsets, np.arange(len(offsets) - 1), quarantined=[])
    if not data.description["splits"]["train"].get("too_long"):
        return rows
    train = data.split("train")
    too_long: TooLong = "split" if (np.diff(train.rows) == 0).any() else "truncate"
    return limit_length(rows, int(train.lengths.max()), too_long, inside)
