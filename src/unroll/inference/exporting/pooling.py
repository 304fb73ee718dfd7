"""Exporters of the poolings: (sequences, states, pooling) → one vector per sequence, (B, F)."""

import numpy as np
from torch import nn

from unroll.inference.exporting.encoders import States
from unroll.inference.exporting.graph import Exporter, Sequences, Value, find_exporter
from unroll.nn.pooling import AttentionPooling, ConcatPooling, LastPooling, MaxPooling, MeanPooling


def _last(sequences: Sequences, states: States, part: LastPooling) -> Value:
    return states.final()


def _mean(sequences: Sequences, states: States, part: MeanPooling) -> Value:
    return sequences.mean(states.outputs)


def _max(sequences: Sequences, states: States, part: MaxPooling) -> Value:
    return sequences.graph("ReduceMax", sequences.replace_padding(states.outputs, -np.inf), axes=[0], keepdims=0)


def _attention(sequences: Sequences, states: States, part: AttentionPooling) -> Value:
    g = sequences.graph
    outputs = sequences.replace_padding(states.outputs, 0.0)
    hidden = g("Tanh", g.linear(outputs, part.projection.weight, part.projection.bias))
    scores = sequences.replace_padding(g.linear(hidden, part.query.weight), -np.inf)  # (T, B, 1)
    weighted = g("Mul", g("Softmax", scores, axis=0), outputs)
    return g("ReduceSum", weighted, g.constant(np.array([0])), keepdims=0)


def _concat(sequences: Sequences, states: States, part: ConcatPooling) -> Value:
    vectors = [find_exporter(POOLINGS, it)(sequences, states, it) for it in part.parts]
    return sequences.graph("Concat", *vectors, axis=1)


POOLINGS: dict[type[nn.Module], Exporter] = {
    LastPooling: _last,
    MeanPooling: _mean,
    MaxPooling: _max,
    AttentionPooling: _attention,
    ConcatPooling: _concat,
}
