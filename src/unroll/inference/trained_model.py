"""A trained model and its folder, which contains weights and JSON, but no pickle and no code."""

import copy
from dataclasses import dataclass
from multiprocessing import parent_process
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
from unroll.nn.devices import (
    CPU,
    announce,
    choose,
    exactly,
    fitting,
    missing_operation,
    moved,
    note,
    read_once,
    unused_gpu,
)

_SMALL = 1 << 16  # elements of what a network computes when it is built


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network or baseline, with everything that is needed to predict labels from text.

    Args:
        schema: of the data that it was trained on.
        config: the configuration that `build_model` built it from; a file of ``conf/model``.
        device: that a network is on; a baseline computes on the CPU.
    """

    model: Model
    schema: DataSchema
    config: dict[str, Any]
    device: torch.device = CPU

    def predict(
        self, split: EncodedSplit, batch_size: int, probabilities: bool = True, chains: bool = False
    ) -> list[Prediction]:
        """Predict one `Prediction` per sequence, in the order of the split; leaves a network in evaluation mode.

        With `probabilities=False` a network leaves out the probabilities of labels of tokens; see `LoadedModel`.

        Raises:
            ValueError: a batch does not fit into the memory of a GPU.
        """
        if isinstance(self.model, Baseline):
            return (self.model.predict_chains if chains else self.model.predict)(split, batch_size)
        with exactly(self.device):
            return _predict_with_network(self.model, split, batch_size, probabilities, self.device)

    def save(self, folder: Path) -> None:
        """Write the weights, the schema and the configuration into `folder`, replacing it."""
        with whole_folder(folder) as work:
            self.model.save(work)
            write_json(work / CONFIG, self.schema.save(work) | {"model": self.config})
            write_checksums(work)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "TrainedModel":
        """Load what `save` wrote, ready to predict.

        Args:
            device: one of `DEVICES`, for a network.

        Raises:
            ValueError: there is no model in `folder`, or it is damaged, or its configuration is of another kind; or the
                device is not here.
        """
        with loading(folder):
            schema, config = read_folder(folder)
            weights = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
            with Bounded(weights + _SMALL):  # a number has at least one byte
                model = build_model(config, schema)
            model.load(folder)
        if isinstance(model, Baseline) or device == "cpu":
            return cls(model, schema, config)
        place = choose(device)
        if place == CPU:  # of auto
            if parent_process() is None:  # else that has said it once for all of its processes
                note(unused_gpu())
        elif place.type == "mps" and (operation := missing_operation(lambda: read_once(model, place))):
            if device != "auto":
                raise ValueError(f"device={device!r}: mps does not have {operation}; accepted: auto, cpu")
            note(f"device: cpu, because mps does not have {operation}")
            place = CPU
        with fitting(place, (), "device=cpu (--device cpu)"):
            return cls(model.to(place), schema, config, place)


@torch.inference_mode()
def _predict_with_network(
    model: SequenceModel,
    split: EncodedSplit,
    batch_size: int,
    probabilities: bool,
    device: torch.device,
) -> list[Prediction]:
    model.eval()
    advice = f"a batch_size (--batch-size) below {batch_size}, or device=cpu (--device cpu)"
    # Apple's GPU has no float64, in which probabilities are computed.
    head = copy.deepcopy(model.head).to(CPU) if device.type == "mps" else model.head
    is_per_token = split.task in TOKEN_TASKS
    predictions: dict[int, Prediction] = {}
    for batch in SequentialBatches(split, batch_size, characters=model.reads_characters):
        posterior = None
        with fitting(device, batch.tokens.words.shape, advice):
            tokens = moved(batch.tokens, device)
            logits, lengths = model(tokens), tokens.lengths
            if head is not model.head:
                logits, lengths = logits.to(CPU), batch.tokens.lengths
            labels = head.decode(logits, lengths).numpy(force=True)  # (B,), (B, L) or (B, T)
            if probabilities or not is_per_token:
                # In float64 distributions sum to 1, and a probability close to 1 has a complement above 0.
                found = head.posterior(logits.double(), lengths)
                chain = (None if it is None else it.numpy(force=True) for it in found[1:])
                posterior = Posterior(found.probabilities.numpy(force=True), *chain)
        rows = zip(batch.positions.tolist(), batch.tokens.lengths.tolist(), strict=True)
        for row, (position, length) in enumerate(rows):
            part = (row, slice(length)) if is_per_token else row
            predictions[position] = Prediction.of(part, labels, posterior)
    return [predictions[position] for position in range(len(split))]


def device_of(asked: str) -> str:
    """`cpu`, `cuda` or `mps`: what a network would be on; raises ValueError as `choose`."""
    device = choose(asked)
    announce(device, asked)
    return device.type
