"""Cells that ONNX has no operator for: loops over the steps, by its operator Scan.

Each function maps (sequences, cell, x: (T, B, I)) to the states (T, B, H) of one direction, left to right.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from unroll.inference.exporting.graph import Graph, Sequences, Value
from unroll.nn import LRU, QRNN, SLSTM, SRU, IndRNN, MinGRU, MinLSTM
from unroll.nn.sru import SCALE

VERY_LOW = -1e30  # the logarithm of nothing, without the infinite values of further steps


def each_way(one_way: Callable[[Sequences, Any, Value], Value]) -> Callable[[Sequences, Sequence[Any], Value], Value]:
    """Export one or two directions: the backward cell reads each sequence reversed within its length."""

    def export(sequences: Sequences, cells: Sequence[Any], x: Value) -> Value:
        states = one_way(sequences, cells[0], x)
        if len(cells) == 1:
            return states
        backward = sequences.reverse(one_way(sequences, cells[1], sequences.reverse(x)))
        return sequences.graph("Concat", states, backward, axis=2)

    return export


def indrnn(sequences: Sequences, cell: IndRNN, x: Value) -> Value:
    g = sequences.graph
    weight = g.constant(cell.recurrent_weight.clamp(-1, 1))
    inputs = g.linear(x, cell.input_weight, cell.bias)

    def step(body: Graph, states: list[Value], inputs: list[Value]) -> list[Value]:
        return [body("Relu", body("Add", inputs[0], body("Mul", weight, states[0])))]

    return g.scan(step, [sequences.zeros(len(cell.bias))], [inputs])[0]


def min_gru(sequences: Sequences, cell: MinGRU, x: Value) -> Value:
    g = sequences.graph
    forget, candidate = _parts(g, g.linear(x, cell.input.weight, cell.input.bias), 2)
    return _mean_of_inputs(sequences, g("Sigmoid", forget), candidate, cell.input.out_features // 2)


def min_lstm(sequences: Sequences, cell: MinLSTM, x: Value) -> Value:
    g = sequences.graph
    forget, write, candidate = _parts(g, g.linear(x, cell.input.weight, cell.input.bias), 3)
    log_write, log_forget = (g("Neg", g("Softplus", g("Neg", gate))) for gate in (write, forget))  # log σ
    keep = g("Sigmoid", g("Sub", log_forget, log_write))
    return _mean_of_inputs(sequences, keep, candidate, cell.input.out_features // 3)


def qrnn(sequences: Sequences, cell: QRNN, x: Value) -> Value:
    g, before = sequences.graph, cell.window - 1
    if before:
        padded = g("Pad", x, g.constant(np.array([before, 0, 0, 0, 0, 0])))  # (k - 1 + T, B, I)
        axis = g.constant(np.array([0]))
        ends = [i - before if i < before else np.iinfo(np.int64).max for i in range(cell.window)]
        bounds = [(g.constant(np.array([i])), g.constant(np.array([end]))) for i, end in enumerate(ends)]
        x = g("Concat", *(g("Slice", padded, start, end, axis) for start, end in bounds), axis=2)  # (T, B, k I)
    forget, candidate, output = _parts(g, g.linear(x, cell.input.weight, cell.input.bias), 3)
    size = cell.input.out_features // 3
    memories = _mean_of_inputs(sequences, g("Sigmoid", forget), g("Tanh", candidate), size)
    return g("Mul", g("Sigmoid", output), memories)


def sru(sequences: Sequences, cell: SRU, x: Value) -> Value:
    g, hidden_size = sequences.graph, cell.peephole.shape[1]
    parts = len(cell.input_weight) // hidden_size
    bias = pad(cell.bias, (hidden_size, (parts - 3) * hidden_size))
    candidate, forget, reset, *highway = _parts(g, g.linear(x, cell.input_weight, bias), parts)
    forget_peephole, reset_peephole = (g.constant(vector) for vector in cell.peephole)

    def step(body: Graph, states: list[Value], inputs: list[Value]) -> list[Value]:
        memory, (u, k, r) = states[0], inputs
        keep = body("Sigmoid", body("Add", k, body("Mul", forget_peephole, memory)))
        carry = body("Sigmoid", body("Add", r, body("Mul", reset_peephole, memory)))
        return [body("Add", u, body("Mul", keep, body("Sub", memory, u))), carry]

    zeros = sequences.zeros(hidden_size)
    memories, carry = g.scan(step, [zeros, zeros], [candidate, forget, reset])
    through = g("Mul", g.constant(SCALE), highway[0] if highway else x)
    return g("Add", through, g("Mul", carry, g("Sub", memories, through)))


def lru(sequences: Sequences, cell: LRU, x: Value) -> Value:
    g, size = sequences.graph, len(cell.log_decay)
    with torch.no_grad():
        decay = torch.exp(torch.complex(-cell.log_decay.exp(), cell.log_phase.exp()))
        weight = cell.log_scale.exp()[:, None, None] * cell.input_weight  # (H, 2, I)
    real, imaginary = g.constant(decay.real), g.constant(decay.imag)
    drive = g.linear(x, weight.transpose(0, 1).flatten(0, 1))  # (T, B, 2H), the real parts first

    def step(body: Graph, states: list[Value], inputs: list[Value]) -> list[Value]:
        a, b = states
        turned_a = body("Sub", body("Mul", real, a), body("Mul", imaginary, b))
        turned_b = body("Add", body("Mul", imaginary, a), body("Mul", real, b))
        return [body("Add", turned_a, inputs[0]), body("Add", turned_b, inputs[1])]

    zeros = sequences.zeros(size)
    hidden = g("Concat", *g.scan(step, [zeros, zeros], _parts(g, drive, 2)), axis=2)  # (T, B, 2H)
    readout = cell.readout.weight.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1)  # the real columns first
    y = g("Add", g.linear(hidden, readout, cell.readout.bias), g.linear(x, cell.skip.weight))
    value, gate = _parts(g, y, 2)
    return g("Mul", value, g("Sigmoid", gate))


def slstm(sequences: Sequences, cell: SLSTM, x: Value) -> Value:
    g = sequences.graph
    heads, size, columns = cell.recurrent_weight.shape  # W: (heads, H / heads, 4 H / heads)
    W = g.constant(cell.recurrent_weight)
    inputs = g.linear(x, cell.input_weight, cell.bias.flatten())  # (T, B, 4H)
    inputs = g("Reshape", inputs, g.constant(np.array([0, 0, heads, columns])))
    inputs = g("Transpose", inputs, perm=[0, 2, 1, 3])  # (T, heads, B, 4 H / heads)

    def step(body: Graph, states: list[Value], inputs: list[Value]) -> list[Value]:
        state, mean, log_n = states
        z, i, f, o = _parts(body, body("Add", inputs[0], body("MatMul", state, W)), 4)
        if cell.forget_gate == "sigmoid":
            f = body("Neg", body("Softplus", body("Neg", f)))  # log σ
        r = body("Add", f, log_n)
        excess = body("Sub", i, r)
        below = body("Softplus", body("Neg", body("Abs", excess)))
        log_n = body("Add", body("Max", i, r), below)  # log(exp(i) + exp(r))
        share = body("Sigmoid", excess)
        mean = body("Add", mean, body("Mul", share, body("Sub", body("Tanh", z), mean)))
        return [body("Mul", body("Sigmoid", o), mean), mean, log_n]

    zeros = sequences.zeros(heads, size, batch_first=False)
    start = g("Add", zeros, g.constant(VERY_LOW))
    states = g.scan(step, [zeros, zeros, start], [inputs])[0]  # (T, heads, B, H / heads)
    aside = g("Transpose", states, perm=[0, 2, 1, 3])
    return g("Reshape", aside, g.constant(np.array([0, 0, heads * size])))


def _parts(graph: Graph, x: Value, parts: int) -> list[Value]:
    """Divide the last axis into equal parts."""
    return graph.several("Split", x, outputs=parts, axis=-1)


def _mean_of_inputs(sequences: Sequences, keep: Value, candidate: Value, size: int) -> Value:
    """sᵢ = keep ⊙ sᵢ₋₁ + (1 - keep) ⊙ candidate from s₀ = 0; (T, B, H) each."""
    g = sequences.graph
    drive = g("Sub", candidate, g("Mul", keep, candidate))

    def step(body: Graph, states: list[Value], inputs: list[Value]) -> list[Value]:
        return [body("Add", body("Mul", inputs[0], states[0]), inputs[1])]

    return g.scan(step, [sequences.zeros(size)], [keep, drive])[0]
