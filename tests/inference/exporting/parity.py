"""Random sequences and networks, and the comparison of a network with its ONNX model."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from unroll.data.encoding import TokenTable
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import PADDING, UNKNOWN, Casing, Task
from unroll.inference.exporting.network import network_model
from unroll.inference.onnx_model import OnnxModel
from unroll.inference.trained_model import TrainedModel
from unroll.nn import SequenceModel
from unroll.nn.encoder import RecurrentEncoder
from unroll.nn.heads import CRFHead

WORDS, CHARACTERS = 30, 20
LABELS: dict[Task, list[str]] = {
    "classification": ["negative", "neutral", "positive"],
    "multilabel": ["politics", "sport", "weather"],
    "labeling": ["O", "I-LOC", "B-PER", "I-PER", "B-LOC"],
    "tagging": ["NN", "VB", "I-X"],
}


def random_split(task: Task, lengths: Sequence[int], seed: int = 0) -> EncodedSplit:
    """Sequences of the given lengths, of 50 distinct tokens with random words, casings and spellings."""
    draw = np.random.default_rng(seed)
    tokens, total = 50, sum(lengths)
    spelling_lengths = [1, *draw.integers(1, 12, tokens)]
    spellings = draw.integers(UNKNOWN, CHARACTERS, sum(spelling_lengths))
    table = TokenTable(
        words=np.array([PADDING, *draw.integers(UNKNOWN, WORDS, tokens)]),
        casing=np.array([Casing.PADDING, *draw.integers(1, len(Casing), tokens)]),
        spellings=Ragged.from_lengths(spellings, spelling_lengths),
    )
    rows = draw.integers(1, tokens + 1, total).astype(np.int32)
    labels = np.zeros(total, int)
    return EncodedSplit(task, table, Ragged.from_lengths(rows, lengths), labels, np.arange(len(lengths)))


def random_network(task: Task, cell: Any = None, seed: int = 0, **options: Any) -> SequenceModel:
    """A small network for evaluation, whose labels vary; `cell` with the options of `RecurrentEncoder`."""
    torch.manual_seed(seed)
    names = [name for name in options if name in ("num_layers", "bidirectional", "residual", "layer_norm", "separate")]
    if cell is not None:
        options["encoder"] = partial(RecurrentEncoder, cell=cell, **{name: options.pop(name) for name in names})
    sizes = {"embedding_size": 6, "casing_size": 2, "hidden_size": 8}
    network = SequenceModel(WORDS, CHARACTERS, LABELS[task], task, **(sizes | options)).eval()
    return spread(network)


def spread(network: SequenceModel) -> SequenceModel:
    """Make the network's labels vary: with the initial weights, all would have nearly equal scores."""
    with torch.no_grad():
        network.embedding.words.weight *= 3
        for name, parameter in network.head.named_parameters():
            parameter.normal_(std=0.1 if name.endswith("bias") else 3)
    return network


def as_onnx(network: SequenceModel, task: Task) -> OnnxModel:
    return OnnxModel(network_model(network).SerializeToString(), schema_of(task))


def schema_of(task: Task) -> DataSchema:
    return DataSchema(task, LABELS[task], ["word"] * WORDS, ["c"] * CHARACTERS, Tokenizer(), is_pair=False)


def check_parity(network: SequenceModel, task: Task, *batches: Sequence[int]) -> None:
    """Assert that one ONNX model gives what the network gives, on batches of sequences of the given lengths."""
    exported = as_onnx(network, task)
    for seed, lengths in enumerate(batches):
        split = random_split(task, lengths, seed)
        expected = TrainedModel(network, schema_of(task), {}).predict(split, 64)
        found = exported.predict(split, 64)
        assert len(found) == len(expected) == len(lengths)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=0, atol=1e-5)
            assert ours.labels.shape == theirs.labels.shape
            if not np.array_equal(ours.labels, theirs.labels):
                _check_tie(network, ours, theirs, task)


def _check_tie(network: SequenceModel, ours: Prediction, theirs: Prediction, task: Task) -> None:
    """Different labels must be equally probable."""
    assert not isinstance(network.head, CRFHead), "two best paths"
    if task == "multilabel":
        np.testing.assert_allclose(theirs.probabilities[ours.labels != theirs.labels], 0.5, atol=1e-6)
        return
    rows = np.atleast_2d(theirs.probabilities)
    picked = (rows[np.arange(len(rows)), np.atleast_1d(it.labels)] for it in (ours, theirs))
    np.testing.assert_allclose(*picked, rtol=0, atol=1e-6)
