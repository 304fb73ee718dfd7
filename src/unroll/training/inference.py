"""A trained network's label probabilities for encoded sequences."""

import numpy as np
import torch

from unroll.data.batching import SequentialBatches
from unroll.data.prepared import EncodedSplit
from unroll.nn import SequenceModel


@torch.inference_mode()
def label_probabilities(model: SequenceModel, split: EncodedSplit, batch_size: int) -> list[np.ndarray]:
    """One array a sequence, in the split's order: (L,) for classification, (T, L) for labeling; float64."""
    model.eval()
    found: list[np.ndarray] = [np.empty(0)] * len(split)
    for batch in SequentialBatches(split, batch_size):
        logits = model(batch.words, batch.casing, batch.lengths)
        probabilities = logits.double().softmax(dim=-1).numpy()  # (B, L) or (B, T, L)
        for row, position, length in zip(probabilities, batch.positions.tolist(), batch.lengths.tolist(), strict=True):
            found[position] = row if row.ndim == 1 else row[:length]
    return found
