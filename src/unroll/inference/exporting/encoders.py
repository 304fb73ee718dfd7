"""Exporters of the cells and of the encoders: (sequences, x: (T, B, I), I, encoder) → outputs and final vectors."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from torch import nn

from unroll.inference.exporting.graph import Exporter, Sequences, Value, find_exporter
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
    forward, backward = list(part.forward_cells), list(part.backward_cells)
    if not part.separate:
        layers = [list(cells) for cells in (zip(forward, backward, strict=True) if backward else zip(forward))]
        x = _stack(sequences, x, size, part, layers, part.norms)
        return States(x, lambda: sequences.final(x, part.output_size, directions=2 if backward else 1))
    there = _stack(sequences, x, size, part, [[cell] for cell in forward], part.norms)
    back = _stack(sequences, sequences.reverse(x), size, part, [[cell] for cell in backward], part.backward_norms)
    both = sequences.graph("Concat", there, sequences.reverse(back), axis=2)
    return States(both, lambda: sequences.final(both, part.output_size, directions=2))


def _stack(
    sequences: Sequences,
    x: Value,
    size: int,
    part: RecurrentEncoder,
    layers: Sequence[list[nn.Module]],
    norms: Iterable[nn.Module],
) -> Value:
    """x: (T, B, `size`) → the outputs of the last of the layers, which have the cells of one or two directions."""
    g, width = sequences.graph, part.output_size // (2 if part.separate else 1)
    for cells, norm in zip(layers, norms, strict=True):
        outputs: Value = find_exporter(CELLS, cells[0])(sequences, cells, x)
        if part.residual and size == width:
            outputs = g("Add", outputs, x)
        if isinstance(norm, nn.LayerNorm):
            weights = g.constant(norm.weight), g.constant(norm.bias)
            outputs = g("LayerNormalization", outputs, *weights, axis=-1, epsilon=norm.eps)
        x, size = outputs, width
    return x


ENCODERS: dict[type[nn.Module], Exporter] = {RecurrentEncoder: _recurrent, FeedForwardEncoder: _feed_forward}
