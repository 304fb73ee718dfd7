"""Cells that ONNX has operators for: LSTM, with and without peepholes, GRU, and the simple recurrent network.

Each function maps (sequences, cells of one or two directions, x: (T, B, I)) to the states (T, B, D · H).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unroll.inference.exporting.graph import Sequences, Value
from unroll.nn import GRU, LSTM, Elman, PeepholeLSTM

Rows = dict[str, list[Tensor]]  # the inputs of an operator by their ONNX names, one tensor for each direction


def lstm(sequences: Sequences, cells: Sequence[LSTM], x: Value) -> Value:
    weights: Rows = {"W": [], "R": [], "B": []}
    for cell in cells:
        U, W, b, b2 = cell.loop.all_weights[0]
        weights["W"].append(_lstm_order(U))
        weights["R"].append(_lstm_order(W))
        weights["B"].append(torch.cat([_lstm_order(b), _lstm_order(b2)]))
    return _operator("LSTM", sequences, x, cells[0].loop.hidden_size, weights)


def peephole_lstm(sequences: Sequences, cells: Sequence[PeepholeLSTM], x: Value) -> Value:
    weights: Rows = {"W": [], "R": [], "B": [], "P": []}
    for cell in cells:
        weights["W"].append(_lstm_order(cell.input_weight))
        weights["R"].append(_lstm_order(cell.recurrent_weight))
        weights["B"].append(torch.cat([_lstm_order(cell.bias), torch.zeros_like(cell.bias)]))
        i, f, o = cell.peepholes
        weights["P"].append(torch.cat([i, o, f]))
    return _operator("LSTM", sequences, x, cells[0].peepholes.shape[1], weights)


def gru(sequences: Sequences, cells: Sequence[GRU], x: Value) -> Value:
    weights: Rows = {"W": [], "R": [], "B": []}
    for cell in cells:
        U, W, b, b2 = cell.loop.all_weights[0]
        weights["W"].append(_gru_order(U))
        weights["R"].append(_gru_order(W))
        weights["B"].append(torch.cat([_gru_order(b), _gru_order(b2)]))
    # ONNX's other GRU multiplies the state by r before the matrix product.
    return _operator("GRU", sequences, x, cells[0].loop.hidden_size, weights, linear_before_reset=1)


def elman(sequences: Sequences, cells: Sequence[Elman], x: Value) -> Value:
    weights: Rows = {
        "W": [cell.input_weight for cell in cells],
        "R": [cell.recurrent_weight for cell in cells],
        "B": [torch.cat([cell.bias, torch.zeros_like(cell.bias)]) for cell in cells],
    }
    activations = [cell.activation.capitalize() for cell in cells]  # Sigmoid, Tanh, Relu
    return _operator("RNN", sequences, x, len(cells[0].bias), weights, activations=activations)


def _lstm_order(rows: Tensor) -> Tensor:
    i, f, g, o = rows.chunk(4)
    return torch.cat([i, o, f, g])


def _gru_order(rows: Tensor) -> Tensor:
    r, z, n = rows.chunk(3)
    return torch.cat([z, r, n])


def _operator(kind: str, sequences: Sequences, x: Value, hidden_size: int, weights: Rows, **attributes: Any) -> Value:
    """x: (T, B, I) → states (T, B, D · H); 0 at padding."""
    g, directions = sequences.graph, len(weights["W"])
    stacked = {name: g.constant(torch.stack(rows), kind.lower()) for name, rows in weights.items()}
    inputs = [x, stacked["W"], stacked["R"], stacked["B"], sequences.lengths32]
    if "P" in stacked:
        inputs += ["", "", stacked["P"]]  # no initial states
    direction = "bidirectional" if directions == 2 else "forward"
    states = g(kind, *inputs, hidden_size=hidden_size, direction=direction, **attributes)  # (T, D, B, H)
    if directions == 1:
        return g("Squeeze", states, g.constant(np.array([1])))
    aside = g("Transpose", states, perm=[0, 2, 1, 3])  # (T, B, D, H)
    return g("Reshape", aside, g.constant(np.array([0, 0, directions * hidden_size])))
