"""Predictions of a trained model for an encoded split."""

import torch

from unroll.baselines import Baseline
from unroll.data.batches import SequentialBatches
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.nn import SequenceModel

Model = SequenceModel | Baseline  # either saves and loads itself, and has a num_parameters


def predict(model: Model, split: EncodedSplit, batch_size: int) -> list[Prediction]:
    """One prediction a sequence, in the split's order; a network is in evaluation mode afterwards."""
    if isinstance(model, Baseline):
        return model.predict(split, batch_size)
    return _predict_with_network(model, split, batch_size)


@torch.inference_mode()
def _predict_with_network(model: SequenceModel, split: EncodedSplit, batch_size: int) -> list[Prediction]:
    model.eval()
    found: dict[int, Prediction] = {}
    for batch in SequentialBatches(split, batch_size, characters=model.reads_characters):
        lengths = batch.tokens.lengths
        scores = model(batch.tokens)
        labels = model.head.decode(scores, lengths).numpy()  # (B,), (B, L) or (B, T)
        # float64: distributions sum to 1, and a probability near 1 leaves something for its complement.
        probabilities = model.head.probabilities(scores.double(), lengths).numpy()  # (B, L) or (B, T, L)
        for row, (position, length) in enumerate(zip(batch.positions.tolist(), lengths.tolist(), strict=True)):
            if split.task == "labeling":
                found[position] = Prediction(labels[row, :length], probabilities[row, :length])
            else:
                found[position] = Prediction(labels[row], probabilities[row])
    return [found[position] for position in range(len(split))]
