"""A trained model and its folder, which contains weights and JSON, but no pickle and no code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unroll.baselines import Baseline
from unroll.data.batches import SequentialBatches
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.schema import DataSchema
from unroll.data.tokens import TOKEN_TASKS, Posterior
from unroll.files import whole_folder, write_checksums, write_json
from unroll.inference.building import Bounded, Model, build_model
from unroll.inference.model_folder import CONFIG, loading, read_folder
from unroll.nn import SequenceModel

_SMALL = 1 << 16  # elements of what a network computes when it is built


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network or baseline, with everything that is needed to predict labels from text.

    Args:
        schema: of the data that it was trained on.
        config: the configuration that `build_model` built it from; a file of ``conf/model``.
    """

    model: Model
    schema: DataSchema
    config: dict[str, Any]

    def predict(
        self, split: EncodedSplit, batch_size: int, probabilities: bool = True, chains: bool = False
    ) -> list[Prediction]:
        """Predict one `Prediction` per sequence, in the order of the split; leaves a network in evaluation mode.

        With `probabilities=False` a network leaves out the probabilities of labels of tokens; see `LoadedModel`.
        """
        if isinstance(self.model, Baseline):
            return (self.model.predict_chains if chains else self.model.predict)(split, batch_size)
        return _predict_with_network(self.model, split, batch_size, probabilities)

    def save(self, folder: Path) -> None:
        """Write the weights, the schema and the configuration into `folder`, replacing it."""
        with whole_folder(folder) as work:
            self.model.save(work)
            write_json(work / CONFIG, self.schema.save(work) | {"model": self.config})
            write_checksums(work)

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Load what `save` wrote, ready to predict.

        Raises:
            ValueError: there is no model in `folder`, or it is damaged, or its configuration is of another kind.
        """
        with loading(folder):
            schema, config = read_folder(folder)
            weights = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
            with Bounded(weights + _SMALL):  # a number has at least one byte
                model = build_model(config, schema)
            model.load(folder)
        return cls(model, schema, config)


@torch.inference_mode()
def _predict_with_network(
    model: SequenceModel, split: EncodedSplit, batch_size: int, probabilities: bool
) -> list[Prediction]:
    model.eval()
    is_per_token = split.task in TOKEN_TASKS
    predictions: dict[int, Prediction] = {}
    for batch in SequentialBatches(split, batch_size, characters=model.reads_characters):
        lengths = batch.tokens.lengths
        logits = model(batch.tokens)
        labels = model.head.decode(logits, lengths).numpy()  # (B,), (B, L) or (B, T)
        posterior = None
        if probabilities or not is_per_token:
            # In float64 distributions sum to 1, and a probability close to 1 has a complement above 0.
            found = model.head.posterior(logits.double(), lengths)
            chain = (None if it is None else it.numpy() for it in found[1:])
            posterior = Posterior(found.probabilities.numpy(), *chain)
        for row, (position, length) in enumerate(zip(batch.positions.tolist(), lengths.tolist(), strict=True)):
            part = (row, slice(length)) if is_per_token else row
            predictions[position] = Prediction.of(part, labels, posterior)
    return [predictions[position] for position in range(len(split))]
