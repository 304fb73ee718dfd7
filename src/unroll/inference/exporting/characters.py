"""Exporters of the character encoders: (graph, name of the character ids (U, C), encoder) → vectors (U, F)."""

import numpy as np
import torch
from onnx import TensorProto
from torch import nn

from unroll.data.tokens import PADDING
from unroll.inference.exporting.encoders import ENCODERS, States
from unroll.inference.exporting.graph import Exporter, Graph, Sequences, Value, find_exporter
from unroll.nn import CharacterCNN, CharacterLSTM


def _character_cnn(graph: Graph, characters: Value, part: CharacterCNN) -> Value:
    """The same sum of lookups as in the network, with tables (A, F) that are computed here."""
    width = len(part.filters)
    before, after = (width - 1) // 2, width // 2
    with torch.no_grad():
        tables = part.characters() @ part.filters  # (K, A, F)
        tables[before, PADDING] = -torch.inf  # excludes the windows around padding
    padded = graph("Pad", characters, graph.constant(np.array([0, before, 0, after])))  # (U, C + K - 1)
    sums: list[Value] = []
    for k, table in enumerate(tables):
        end = k - width + 1 or np.iinfo(np.int64).max
        bounds = [graph.constant(np.array([value])) for value in (k, end, 1)]
        sums.append(graph("Gather", graph.constant(table), graph("Slice", padded, *bounds)))  # (U, C, F)
    total = graph("Sum", *sums) if width > 1 else sums[0]
    return graph("Add", graph("ReduceMax", total, axes=[1], keepdims=0), graph.constant(part.bias))


def _character_lstm(graph: Graph, characters: Value, part: CharacterLSTM) -> Value:
    characters = graph("Transpose", characters, perm=[1, 0])  # (C, U)
    is_one = graph("Cast", graph("Cast", characters, to=TensorProto.BOOL), to=TensorProto.INT64)
    counts = graph("ReduceSum", is_one, graph.constant(np.array([0])), keepdims=0)  # (U,)
    lengths = graph("Max", counts, graph.constant(np.int64(1)))
    with torch.no_grad():
        table = part.characters()
    x = graph("Gather", graph.constant(table), characters)  # (C, U, E)
    export = find_exporter(ENCODERS, part.encoder)
    states: States = export(Sequences(graph, lengths, characters), x, table.shape[1], part.encoder)
    return states.final()


CHARACTER_ENCODERS: dict[type[nn.Module], Exporter] = {CharacterCNN: _character_cnn, CharacterLSTM: _character_lstm}
