"""A trained network's answers for encoded sequences."""

from typing import NamedTuple

import numpy as np
import torch

from unroll.data.batching import SequentialBatches
from unroll.data.prepared import EncodedSplit
from unroll.nn import SequenceModel


class Answer(NamedTuple):
    """One sequence's best labels and each label's probability, float64.

    `labels` () and `probabilities` (L,) for classification; bool (L,) and (L,) for multilabel; (T,) and (T, L) for
    labeling.
    """

    labels: np.ndarray
    probabilities: np.ndarray


@torch.inference_mode()
def answer(model: SequenceModel, split: EncodedSplit, batch_size: int) -> list[Answer]:
    """One answer a sequence, in the split's order."""
    model.eval()
    found: dict[int, Answer] = {}
    for batch in SequentialBatches(split, batch_size, characters=model.reads_characters):
        lengths = batch.tokens.lengths
        scores = model(batch.tokens)
        labels = model.head.decode(scores, lengths).numpy()  # (B,), (B, L) or (B, T)
        # In float64 distributions sum to 1, and a label's probability of nearly 1 leaves something for its absence.
        probabilities = model.head.probabilities(scores.double(), lengths).numpy()  # (B, L) or (B, T, L)
        for row, (position, length) in enumerate(zip(batch.positions.tolist(), lengths.tolist(), strict=True)):
            if split.task == "labeling":
                found[position] = Answer(labels[row, :length], probabilities[row, :length])
            else:
                found[position] = Answer(labels[row], probabilities[row])
    return [found[position] for position in range(len(split))]
