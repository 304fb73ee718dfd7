"""A trained network's answers for encoded sequences."""

from typing import NamedTuple

import numpy as np
import torch

from unroll.data.batching import SequentialBatches
from unroll.data.prepared import EncodedSplit
from unroll.nn import SequenceModel


class Answer(NamedTuple):
    """One sequence's best labels and each label's probability.

    `labels` () and `probabilities` (L,) for classification; (T,) and (T, L) for labeling; float64.
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
        labels = model.head.decode(scores, lengths).numpy()  # (B,) or (B, T)
        shares = model.head.probabilities(scores, lengths).double()  # (B, L) or (B, T, L)
        probabilities = (shares / shares.sum(dim=-1, keepdim=True)).numpy()
        for row, (position, length) in enumerate(zip(batch.positions.tolist(), lengths.tolist(), strict=True)):
            if split.task == "classification":
                found[position] = Answer(labels[row], probabilities[row])
            else:
                found[position] = Answer(labels[row, :length], probabilities[row, :length])
    return [found[position] for position in range(len(split))]
