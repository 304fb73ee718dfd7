"""The loop of `PeepholeLSTM` over the steps and its gradient, in one launch each; see `together`."""

import triton
import triton.language as tl
from torch import Tensor

from unroll.nn.kernels.channels import tanh
from unroll.nn.kernels.together import SIZES, launch, own_block, product, wait_for_all


def forward(gates: Tensor, W: Tensor, peepholes: Tensor) -> tuple[Tensor, Tensor]:
    """gates: (T, B, 4H), U xᵢ + b, set to i, f, g, o; W: (4H, H); peepholes: (3, H) → cells and states (T + 1, B, H).

    All are contiguous; cells and states begin with zeros.
    """
    steps, batch, hidden = len(gates), gates.shape[1], W.shape[1]
    cells, states = gates.new_empty(2, steps + 1, batch, hidden)
    cells[0] = 0
    states[0] = 0
    launch(_forward, gates, W, peepholes, cells, states, steps=steps, batch=batch, heads=1, hidden=hidden)
    return cells, states


def backward(gates: Tensor, W: Tensor, peepholes: Tensor, cells: Tensor, d_states: Tensor) -> tuple[Tensor, Tensor]:
    """From the gradient of the states (T, B, H) those of the gates' arguments, (T, B, 4H), and of the peepholes."""
    steps, batch, hidden = d_states.shape
    d_gates = gates.new_empty(steps + 1, *gates.shape[1:])
    d_gates[steps] = 0
    sums = cells.new_zeros(4, batch, hidden)  # the gradients of the cell and, of each sequence, of the peepholes
    tensors = (gates, W, peepholes, cells, d_states.contiguous(), d_gates, sums)
    launch(_backward, *tensors, steps=steps, batch=batch, heads=1, hidden=hidden)
    return d_gates[:steps], sums[1:].sum(dim=1)


@triton.jit(do_not_specialize=SIZES)
def _forward(
    gates, W, peepholes, cells, states, arrived, start, stop, steps, sequence, batch,
    HIDDEN: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    rows, rows_exist, units = own_block(sequence, batch, ROWS, UNITS)
    inside = rows_exist[:, None] & (units < HIDDEN)[None, :]
    own = rows[:, None] * HIDDEN + units[None, :]  # in a step of the cells and states
    own_gates = rows[:, None] * 4 * HIDDEN + units[None, :]
    a_step = tl.cast(batch, tl.int64) * HIDDEN

    column = tl.arange(0, 4 * UNITS)  # of the product: i, f, g, o of the first unit, then of the next
    unit = tl.program_id(1) * UNITS + column // 4
    weight = W + (column % 4 * HIDDEN + unit) * HIDDEN
    p_i = tl.load(peepholes + units, units < HIDDEN, 0.0)[None, :]
    p_f = tl.load(peepholes + HIDDEN + units, units < HIDDEN, 0.0)[None, :]
    p_o = tl.load(peepholes + 2 * HIDDEN + units, units < HIDDEN, 0.0)[None, :]
    cell = tl.load(cells + start * a_step + own, inside, 0.0)
    for t in range(start, stop):
        inputs = gates + t * 4 * a_step + own_gates
        i = tl.load(inputs, inside, 0.0)
        f = tl.load(inputs + HIDDEN, inside, 0.0)
        g = tl.load(inputs + 2 * HIDDEN, inside, 0.0)
        o = tl.load(inputs + 3 * HIDDEN, inside, 0.0)
        state = states + t * a_step + rows * HIDDEN
        products = product(state, rows_exist, weight, 1, unit < HIDDEN, HIDDEN, ROWS, 4 * UNITS, PRECISION)
        i_and_g, f_and_o = tl.split(tl.reshape(products, [ROWS, UNITS, 2, 2]))
        from_i, from_g = tl.split(i_and_g)
        from_f, from_o = tl.split(f_and_o)
        i = tl.sigmoid(i + from_i + p_i * cell)
        f = tl.sigmoid(f + from_f + p_f * cell)
        g = tanh(g + from_g)
        cell = f * cell + i * g
        o = tl.sigmoid(o + from_o + p_o * cell)
        tl.store(inputs, i, inside)
        tl.store(inputs + HIDDEN, f, inside)
        tl.store(inputs + 2 * HIDDEN, g, inside)
        tl.store(inputs + 3 * HIDDEN, o, inside)
        tl.store(cells + (t + 1) * a_step + own, cell, inside)
        tl.store(states + (t + 1) * a_step + own, o * tanh(cell), inside)
        if t + 1 < stop:
            wait_for_all(arrived, t)


@triton.jit(do_not_specialize=SIZES)
def _backward(
    gates, W, peepholes, cells, d_states, d_gates, sums, arrived, start, stop, steps, sequence, batch,
    HIDDEN: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Reads `sums` before the first of its steps and leaves them there after the last."""
    rows, rows_exist, units = own_block(sequence, batch, ROWS, UNITS)
    inside = rows_exist[:, None] & (units < HIDDEN)[None, :]
    own = rows[:, None] * HIDDEN + units[None, :]
    own_gates = rows[:, None] * 4 * HIDDEN + units[None, :]
    a_step = tl.cast(batch, tl.int64) * HIDDEN

    p_i = tl.load(peepholes + units, units < HIDDEN, 0.0)[None, :]
    p_f = tl.load(peepholes + HIDDEN + units, units < HIDDEN, 0.0)[None, :]
    p_o = tl.load(peepholes + 2 * HIDDEN + units, units < HIDDEN, 0.0)[None, :]
    sums += own
    d_cell = tl.load(sums, inside, 0.0)
    d_p_i = tl.load(sums + a_step, inside, 0.0)
    d_p_f = tl.load(sums + 2 * a_step, inside, 0.0)
    d_p_o = tl.load(sums + 3 * a_step, inside, 0.0)
    for n in range(start, stop):
        t = steps - 1 - n
        outputs = gates + t * 4 * a_step + own_gates
        i = tl.load(outputs, inside, 0.0)
        f = tl.load(outputs + HIDDEN, inside, 0.0)
        g = tl.load(outputs + 2 * HIDDEN, inside, 0.0)
        o = tl.load(outputs + 3 * HIDDEN, inside, 0.0)
        previous = tl.load(cells + t * a_step + own, inside, 0.0)
        cell = tl.load(cells + (t + 1) * a_step + own, inside, 0.0)
        squashed = tanh(cell)
        d_state = tl.load(d_states + t * a_step + own, inside, 0.0)
        later = d_gates + (t + 1) * 4 * a_step + rows * 4 * HIDDEN
        d_state += product(later, rows_exist, W + units, HIDDEN, units < HIDDEN, 4 * HIDDEN, ROWS, UNITS, PRECISION)
        d_o = d_state * squashed * o * (1 - o)
        d_cell += d_state * o * (1 - squashed * squashed) + d_o * p_o
        d_i = d_cell * g * i * (1 - i)
        d_f = d_cell * previous * f * (1 - f)
        d_g = d_cell * i * (1 - g * g)
        d_cell = d_cell * f + d_i * p_i + d_f * p_f
        d_p_i += d_i * previous
        d_p_f += d_f * previous
        d_p_o += d_o * cell
        d_outputs = d_gates + t * 4 * a_step + own_gates
        tl.store(d_outputs, d_i, inside)
        tl.store(d_outputs + HIDDEN, d_f, inside)
        tl.store(d_outputs + 2 * HIDDEN, d_g, inside)
        tl.store(d_outputs + 3 * HIDDEN, d_o, inside)
        if n + 1 < stop:
            wait_for_all(arrived, n)
    tl.store(sums, d_cell, inside)
    tl.store(sums + a_step, d_p_i, inside)
    tl.store(sums + 2 * a_step, d_p_f, inside)
    tl.store(sums + 3 * a_step, d_p_o, inside)
