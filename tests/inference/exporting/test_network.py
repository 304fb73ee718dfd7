"""Exported networks compared with PyTorch's results."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import unroll.nn
from tests.inference.exporting.parity import (
    LABELS,
    as_onnx,
    check_parity,
    random_network,
    random_split,
    schema_of,
    spread,
)
from tests.tiny import MODELS, NETWORKS
from unroll.data.padding import pad
from unroll.data.tokens import Task
from unroll.inference.building import build_model
from unroll.inference.exporting import scans
from unroll.inference.exporting.encoders import CELLS
from unroll.inference.exporting.graph import find_exporter
from unroll.inference.exporting.network import network_model
from unroll.nn import (
    GRU,
    LSTM,
    SLSTM,
    SRU,
    CharacterCNN,
    CharacterLSTM,
    Elman,
    FeedForwardEncoder,
    MinGRU,
    SequenceModel,
)
from unroll.nn.heads import LABELING_HEADS
from unroll.nn.pooling import POOLINGS

TASKS: list[Task] = ["classification", "labeling"]
RAGGED = [9, 1, 4, 7, 2]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_shipped_network_is_exported_exactly(name: str, task: Task) -> None:
    torch.manual_seed(1)
    config = MODELS[name] | {"embedding_size": 12, "casing_size": 3, "hidden_size": 16}
    network = build_model(config, schema_of(task))
    assert isinstance(network, SequenceModel)
    check_parity(spread(network.eval()), task, RAGGED, [1], [500, 3], range(1, 65))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)
@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": True},
        {"num_layers": 2, "bidirectional": True, "residual": True, "layer_norm": True},
        {"num_layers": 3, "bidirectional": True, "residual": True, "layer_norm": True, "separate": True},
    ],
    ids=["bidirectional", "stacked", "separate"],
)
def test_every_cell_is_exported_in_every_encoder(cell: type[nn.Module], options: dict[str, Any]) -> None:
    check_parity(random_network("labeling", cell, **options), "labeling", RAGGED, [60])


def test_every_public_cell_has_an_exporter() -> None:
    others = ("Encoder", "CRF", "Model", "CNN", "CharacterLSTM")
    public = [it for name, it in vars(unroll.nn).items() if isinstance(it, type) and not name.endswith(others)]
    assert set(public) == set(CELLS)


def test_the_cell_of_the_contributing_page_is_exported_by_its_exporter(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (project / "CONTRIBUTING.md").read_text(), re.DOTALL)
    written = next(it for it in blocks if it.startswith("# src/unroll/nn/leaky.py"))
    exporter = next(it for it in blocks if it.startswith("# src/unroll/inference/exporting/scans.py"))
    names = dict(vars(scans))
    exec(written + exporter.partition("CELLS")[0], names)
    assert "Leaky: each_way(leaky)," in exporter
    monkeypatch.setitem(CELLS, names["Leaky"], scans.each_way(names["leaky"]))
    for bidirectional in (False, True):
        network = random_network("labeling", names["Leaky"], bidirectional=bidirectional)
        check_parity(network, "labeling", RAGGED, [60])


@pytest.mark.parametrize(
    "cell",
    [
        partial(Elman, activation="relu"),
        partial(Elman, activation="sigmoid"),
        partial(SLSTM, num_heads=2, forget_gate="exponential"),
        partial(SLSTM, num_heads=4),
        partial(unroll.nn.QRNN, window=1),
        partial(unroll.nn.QRNN, window=4),
        partial(GRU, weight_dropout=0.5),
        partial(LSTM, weight_dropout=0.5),
    ],
    ids=str,
)
def test_options_of_cells_are_exported(cell: Any) -> None:
    network = random_network("labeling", cell, bidirectional=True)
    assert find_exporter(CELLS, network.encoder.forward_cells[0])
    check_parity(network, "labeling", RAGGED, [3, 1])


def test_trained_weights_of_every_kind_are_exported() -> None:
    """Weights that are zero or equal at initialisation would hide a wrong order."""
    for cell in CELLS:
        network = random_network("labeling", cell, bidirectional=True)
        with torch.no_grad():
            for parameter in network.encoder.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        check_parity(network, "labeling", RAGGED)


def test_a_layer_as_wide_as_its_input_is_residual_from_the_first_on() -> None:
    for cell in (LSTM, MinGRU, SRU):
        network = random_network("labeling", cell, num_layers=2, residual=True, embedding_size=8, casing_size=0)
        check_parity(network, "labeling", RAGGED)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", [LSTM, MinGRU])
def test_every_pooling_is_exported(pooling: str, cell: type[nn.Module]) -> None:
    for bidirectional in (False, True):
        network = random_network("classification", cell, bidirectional=bidirectional, layer_norm=True, pooling=pooling)
        check_parity(network, "classification", RAGGED, [5])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_of_a_network_without_recurrence_is_exported(pooling: str) -> None:
    check_parity(random_network("multilabel", encoder=FeedForwardEncoder, pooling=pooling), "multilabel", RAGGED, [5])


@pytest.mark.parametrize("head", LABELING_HEADS)
@pytest.mark.parametrize("task", ["labeling", "tagging"])
def test_every_head_is_exported(task: Task, head: str) -> None:
    check_parity(random_network(task, GRU, head=head), task, RAGGED, [1], [80])


@pytest.mark.parametrize(
    "characters",
    [
        partial(CharacterCNN, embedding_size=4, filters=5, width=1),
        partial(CharacterCNN, embedding_size=4, filters=5, width=2),
        partial(CharacterCNN, embedding_size=4, filters=5, width=5),
        partial(CharacterLSTM, embedding_size=4, hidden_size=3),
    ],
    ids=["cnn1", "cnn2", "cnn5", "lstm"],
)
def test_character_encoders_are_exported(characters: Any) -> None:
    network = random_network("labeling", LSTM, characters=characters)
    with torch.no_grad():
        for parameter in network.embedding.characters.parameters():
            parameter += torch.randn_like(parameter)
        network.embedding.characters.characters.embedding.weight[0] = 0
    check_parity(network, "labeling", RAGGED, [1], [30])


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=64))
@settings(max_examples=15)
def test_number_of_sequences_and_of_steps_is_free(lengths: list[int]) -> None:
    check_parity(_NETWORK, "labeling", lengths)


_NETWORK = random_network("labeling", LSTM, bidirectional=True, characters=partial(CharacterCNN, filters=5), head="crf")


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)
def test_a_sequence_does_not_depend_on_the_others_of_its_batch(cell: type[nn.Module]) -> None:
    exported = as_onnx(random_network("classification", cell, bidirectional=True, pooling="concat"), "classification")
    split = random_split("classification", [2, 30, 7])
    for i in range(3):
        alone = exported.scores(pad(split, np.array([i])).tokens)[0]
        np.testing.assert_allclose(exported.scores(pad(split, np.arange(3)).tokens)[i], alone, atol=1e-5)


class Unknown(GRU):
    """A user's own cell."""


def test_a_part_without_an_exporter_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^Unknown cannot be exported to ONNX; accepted in its place: LSTM, GRU, .*$"):
        network_model(random_network("labeling", Unknown))


def test_labels_of_the_comparison_vary() -> None:
    """Otherwise the tests above would compare constants."""
    for task in LABELS:
        found = as_onnx(random_network(task, LSTM), task).predict(random_split(task, [20] * 20), 64)
        assert len({tuple(np.atleast_1d(it.labels)) for it in found}) >= 2
