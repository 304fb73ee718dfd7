"""A trained model and its folder, which contains weights and JSON, but no pickle and no code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from unroll.arguments import check_arguments
from unroll.baselines import Baseline
from unroll.data.batches import SequentialBatches
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer, TokenizerOptions
from unroll.data.tokens import TOKEN_TASKS
from unroll.files import CHECKSUMS, damaged_files, read_json, reason, whole_folder, write_checksums, write_json
from unroll.inference.building import Bounded, Model, build_model
from unroll.nn import SequenceModel

TOKENIZER = Tokenizer.FILES[0]
_SMALL = 1 << 16  # elements of what a network computes when it is built
# What reading a damaged file, or one of another kind, can raise.
_UNREADABLE = (AttributeError, LookupError, MemoryError, OSError, RuntimeError, SafetensorError, TypeError, ValueError)


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
            write_checksums(work)

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Load what `save` wrote, ready to predict.

        Raises:
            ValueError: there is no model in `folder`, or it is damaged, or its configuration is of another kind.
        """
        if not (folder / "config.json").exists():
            raise ValueError(f"no trained model in {folder}; train one with python pipelines/train.py")
        try:
            config = read_json(folder / "config.json", keys=("model", "task", "is_pair", "label_names"))
            if damaged := damaged_files(folder):
                raise ValueError(f"{', '.join(damaged)}: not what was written, by {CHECKSUMS}")
            facts = {
                name: config[name] for name in ("task", "is_pair", "given_tokens", "label_names") if name in config
            }
            check_arguments(DataSchema, facts, "config.json")
            options = read_json(folder / TOKENIZER, keys=("split",))
            check_arguments(TokenizerOptions, {it: options[it] for it in options if it != "version"}, TOKENIZER)
            schema = DataSchema.load(folder, config)
            weights = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
            with Bounded(weights + _SMALL):  # a number has at least one byte
                model = build_model(config["model"], schema)
            model.load(folder)
        except _UNREADABLE as error:
            if isinstance(error, PermissionError):
                raise
            cause = reason(error)
            raise ValueError(f"the model in {folder} cannot be used ({cause}): copy or train it again") from error
        return cls(model, schema, config["model"])


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
            if split.task in TOKEN_TASKS:
                predictions[position] = Prediction(labels[row, :length], probabilities[row, :length])
            else:
                predictions[position] = Prediction(labels[row], probabilities[row])
    return [predictions[position] for position in range(len(split))]
