"""Exporters of the heads: (sequences, states, head) → scores; and what makes labels and probabilities of scores."""

from typing import Any

from torch import nn

from unroll.inference.exporting.encoders import States
from unroll.inference.exporting.graph import Exporter, Sequences, Value, find_exporter
from unroll.inference.exporting.pooling import POOLINGS
from unroll.nn.heads import ClassificationHead, CRFHead, MultilabelHead, SoftmaxHead


def _of_sequence(sequences: Sequences, states: States, part: ClassificationHead) -> Value:
    pooled = find_exporter(POOLINGS, part.pooling)(sequences, states, part.pooling)
    return sequences.graph.linear(pooled, part.output.weight, part.output.bias)  # (B, L)


def _of_tokens(sequences: Sequences, states: States, part: SoftmaxHead) -> Value:
    return sequences.graph.linear(states.outputs, part.output.weight, part.output.bias)  # (T, B, L)


def _softmax(part: nn.Module) -> dict[str, Any]:
    return {"kind": "softmax"}


def _sigmoid(part: nn.Module) -> dict[str, Any]:
    return {"kind": "sigmoid"}


def _crf(part: CRFHead) -> dict[str, Any]:
    names = ("start", "end", "transitions", "forbidden_starts", "forbidden_transitions")
    weights = {name: getattr(part.crf, name).tolist() for name in names}
    return {"kind": "crf", "constrained_loss": part.crf.constrained_loss} | weights


HEADS: dict[type[nn.Module], Exporter] = {
    ClassificationHead: _of_sequence,
    MultilabelHead: _of_sequence,
    SoftmaxHead: _of_tokens,
    CRFHead: _of_tokens,
}
# What makes labels and probabilities of the scores; see `unroll.inference.decoders`.
DECODERS: dict[type[nn.Module], Exporter] = {
    ClassificationHead: _softmax,
    MultilabelHead: _sigmoid,
    SoftmaxHead: _softmax,
    CRFHead: _crf,
}
