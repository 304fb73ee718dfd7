"""A trained model and its folder, which contains weights and JSON, but no pickle and no code."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unroll.baselines import Baseline
from unroll.data.batches import SequentialBatches
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.schema import DataSchema
from unroll.files import read_json, whole_folder, write_json
from unroll.nn import SequenceModel

Model = SequenceModel | Baseline  # both have save(folder), load(folder) and num_parameters


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

    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        """Predict one `Prediction` per sequence, in the order of the split; leaves a network in evaluation mode."""
        if isinstance(self.model, Baseline):
            return self.model.predict(split, batch_size)
        return _predict_with_network(self.model, split, batch_size)

    def save(self, folder: Path) -> None:
        """Write the weights, the schema and the configuration into `folder`, replacing it."""
        with whole_folder(folder) as work:
            self.model.save(work)
            write_json(work / "config.json", self.schema.save(work) | {"model": self.config})

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Load what `save` wrote, ready to predict; raises ValueError if there is no model in `folder`."""
        if not (folder / "config.json").exists():
            raise ValueError(f"no trained model in {folder}; train one with python pipelines/train.py")
        config = read_json(folder / "config.json")
        schema = DataSchema.load(folder, config)
        model = build_model(config["model"], schema)
        model.load(folder)
        return cls(model, schema, config["model"])


def build_model(config: dict[str, Any], schema: DataSchema) -> Model:
    """Build the untrained model that a file of ``conf/model`` describes, in the sizes that a dataset needs.

    The class or function that ``_target_`` names gets those facts about the dataset that it has parameters for.

    Raises:
        ValueError: the model is not made for the dataset's task, or does not accept a value.
    """
    from hydra.utils import instantiate

    # The facts are not part of the configuration: OmegaConf would resolve a ??? or ${...} in a label name.
    build = instantiate(config, _partial_=True, _convert_="all")
    facts = {
        "task": schema.task,
        "label_names": schema.label_names,
        "vocabulary": schema.vocabulary,
        "vocabulary_size": len(schema.vocabulary),
        "alphabet": schema.alphabet,
        "alphabet_size": len(schema.alphabet),
    }
    parameters = inspect.signature(build).parameters
    try:
        model: Model = build(**{name: fact for name, fact in facts.items() if name in parameters})
    except ValueError as error:
        raise ValueError(f"model: {error}") from error
    return model


@torch.inference_mode()
def _predict_with_network(model: SequenceModel, split: EncodedSplit, batch_size: int) -> list[Prediction]:
    model.eval()
    predictions: dict[int, Prediction] = {}
    for batch in SequentialBatches(split, batch_size, characters=model.reads_characters):
        lengths = batch.tokens.lengths
        logits = model(batch.tokens)
        labels = model.head.decode(logits, lengths).numpy()  # (B,), (B, L) or (B, T)
        # In float64 distributions sum to 1, and a probability close to 1 has a complement above 0.
        probabilities = model.head.probabilities(logits.double(), lengths).numpy()  # (B, L) or (B, T, L)
        for row, (position, length) in enumerate(zip(batch.positions.tolist(), lengths.tolist(), strict=True)):
            if split.task == "labeling":
                predictions[position] = Prediction(labels[row, :length], probabilities[row, :length])
            else:
                predictions[position] = Prediction(labels[row], probabilities[row])
    return [predictions[position] for position in range(len(split))]
