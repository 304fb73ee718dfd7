"""Exporters of the cells and of the encoders: (sequences, x: (T, B, I), I, encoder) → outputs and final vectors."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from unroll.inference.exporting.graph import Sequences, Value
from unroll.inference.exporting.parts import Exporter, find_exporter
from unroll.inference.exporting.recurrent import elman, gru, lstm, peephole_lstm
from unroll.inference.exporting.scans import each_way, indrnn, lru, min_gru, min_lstm, qrnn, slstm, sru
from unroll.nn import (
    GRU,
    LRU,
    LSTM,
    QRNN,
    SLSTM,
    SRU,
    Elman,
    FeedForwardEncoder,
    IndRNN,
    MinGRU,
    MinLSTM,
    PeepholeLSTM,
    RecurrentEncoder,
)

# The exporters of all cells; a new cell is exported by a function and its line here:
# (sequences, cells of one or two directions, x: (T, B, I)) → states (T, B, D · H).
CELLS: dict[type[nn.Module], Exporter] = {
    LSTM: lstm,
    GRU: gru,
    Elman: elman,
    PeepholeLSTM: peephole_lstm,
    IndRNN: each_way(indrnn),
    LRU: each_way(lru),
    MinGRU: each_way(min_gru),
    MinLSTM: each_way(min_lstm),
    QRNN: each_way(qrnn),
    SLSTM: each_way(slstm),
    SRU: each_way(sru),
}


class States(NamedTuple):
    """`outputs` (T, B, O), unspecified at padding; `final()` adds the final vectors (B, O) to the graph."""

    outputs: Value
    final: Callable[[], Value]


def _feed_forward(sequences: Sequences, x: Value, size: int, part: FeedForwardEncoder) -> States:
    g = sequences.graph
    weight, bias = part.hidden.weight, part.hidden.bias
    outputs = g("Sigmoid", g.linear(x, weight, bias))
    return States(outputs, lambda: g("Sigmoid", g.linear(sequences.mean(x), weight, bias)))


def _recurrent(sequences: Sequences, x: Value, size: int, part: RecurrentEncoder) -> States:
    g, directions = sequences.graph, 2 if part.backward_cells else 1
    for i, norm in enumerate(part.norms):
        cells = [way[i] for way in (part.forward_cells, part.backward_cells) if way]
        outputs = find_exporter(CELLS, cells[0])(sequences, cells, x)
        if part.residual and size == part.output_size:
            outputs = g("Add", outputs, x)
        if isinstance(norm, nn.LayerNorm):
            weights = g.constant(norm.weight), g.constant(norm.bias)
            outputs = g("LayerNormalization", outputs, *weights, axis=-1, epsilon=norm.eps)
        x, size = outputs, part.output_size
    return States(x, lambda: sequences.final(x, part.output_size, directions))


ENCODERS: dict[type[nn.Module], Exporter] = {RecurrentEncoder: _recurrent, FeedForwardEncoder: _feed_forward}
