"""The loop of `SLSTM` over the steps and its gradient, in one launch each; see `together`."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from unroll.nn.kernels.channels import log_sigmoid, tanh
from unroll.nn.kernels.together import SIZES, launch, own_block, product, wait_for_all


def forward(gates: Tensor, W: Tensor, sigmoid_forget: bool) -> tuple[Tensor, Tensor]:
    """gates: (T, B, heads, 4, H), U xᵢ + b, set to z, α, f̃, o; W: (heads, H, 4H) → means and states.

    H is the size of a head. All are contiguous; means and states, (T + 1, B, heads, H) each, begin with zeros.
    """
    steps, batch, heads, _, hidden = gates.shape
    means, states = gates.new_empty(2, steps + 1, batch, heads, hidden)
    means[0] = 0
    states[0] = 0
    log_n = torch.full_like(means[0], -torch.inf)
    sizes = {"steps": steps, "batch": batch, "heads": heads, "hidden": hidden}
    launch(_forward, gates, W, means, states, log_n, **sizes, SIGMOID=sigmoid_forget)
    return means, states


def backward(gates: Tensor, W: Tensor, means: Tensor, d_states: Tensor, sigmoid_forget: bool) -> Tensor:
    """The gradients of the arguments of the gates, in their shape, from that of the states (T, B, heads, H)."""
    steps, batch, heads, hidden = d_states.shape
    d_gates = gates.new_empty(steps + 1, *gates.shape[1:])
    d_gates[steps] = 0
    d_mean, d_log_n = means.new_zeros(2, *means.shape[1:])
    sizes = {"steps": steps, "batch": batch, "heads": heads, "hidden": hidden}
    tensors = (gates, W, means, d_states.contiguous(), d_gates, d_mean, d_log_n)
    launch(_backward, *tensors, **sizes, SIGMOID=sigmoid_forget)
    return d_gates[:steps]


@triton.jit(do_not_specialize=SIZES)
def _forward(
    gates, W, means, states, log_ns, arrived, start, stop, steps, sequence, batch,
    HIDDEN: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr, PRECISION: tl.constexpr, SIGMOID: tl.constexpr,
):  # fmt: skip
    """Reads log n from `log_ns` (B, heads, H) before the first of its steps and leaves it there after the last."""
    rows, rows_exist, units = own_block(sequence, batch, ROWS, UNITS)
    inside = rows_exist[:, None] & (units < HIDDEN)[None, :]
    heads = rows * tl.num_programs(2) + tl.program_id(2)  # of the sequences, in a step
    own = heads[:, None] * HIDDEN + units[None, :]  # in a step of the means and states
    own_gates = heads[:, None] * 4 * HIDDEN + units[None, :]
    a_step = tl.cast(batch, tl.int64) * tl.num_programs(2) * HIDDEN

    column = tl.arange(0, 4 * UNITS)  # of the product: z, i, f, o of the first unit, then of the next
    unit = tl.program_id(1) * UNITS + column // 4
    weight = W + tl.program_id(2).to(tl.int64) * 4 * HIDDEN * HIDDEN + column % 4 * HIDDEN + unit
    mean = tl.load(means + start * a_step + own, inside, 0.0)
    log_n = tl.load(log_ns + own, inside, 0.0)
    for t in range(start, stop):
        inputs = gates + t * 4 * a_step + own_gates
        z = tl.load(inputs, inside, 0.0)
        i = tl.load(inputs + HIDDEN, inside, 0.0)
        f = tl.load(inputs + 2 * HIDDEN, inside, 0.0)
        o = tl.load(inputs + 3 * HIDDEN, inside, 0.0)
        state = states + t * a_step + heads * HIDDEN
        products = product(state, rows_exist, weight, 4 * HIDDEN, unit < HIDDEN, HIDDEN, ROWS, 4 * UNITS, PRECISION)
        z_and_f, i_and_o = tl.split(tl.reshape(products, [ROWS, UNITS, 2, 2]))
        from_z, from_f = tl.split(z_and_f)
        from_i, from_o = tl.split(i_and_o)
        z = tanh(z + from_z)
        i += from_i
        f += from_f
        o = tl.sigmoid(o + from_o)
        if SIGMOID:
            r = log_sigmoid(f) + log_n
        else:
            r = f + log_n
        log_n = tl.maximum(i, r) + tl.log(1 + tl.exp(-tl.abs(i - r)))
        share = tl.sigmoid(i - r)  # α
        mean += share * (z - mean)
        tl.store(inputs, z, inside)
        tl.store(inputs + HIDDEN, share, inside)
        tl.store(inputs + 2 * HIDDEN, f, inside)
        tl.store(inputs + 3 * HIDDEN, o, inside)
        tl.store(means + (t + 1) * a_step + own, mean, inside)
        tl.store(states + (t + 1) * a_step + own, o * mean, inside)
        if t + 1 < stop:
            wait_for_all(arrived, t)
    tl.store(log_ns + own, log_n, inside)


@triton.jit(do_not_specialize=SIZES)
def _backward(
    gates, W, means, d_states, d_gates, d_means, d_log_ns, arrived, start, stop, steps, sequence, batch,
    HIDDEN: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr, PRECISION: tl.constexpr, SIGMOID: tl.constexpr,
):  # fmt: skip
    """Reads `d_means` and `d_log_ns` (B, heads, H) before the first of its steps and leaves them after the last."""
    rows, rows_exist, units = own_block(sequence, batch, ROWS, UNITS)
    inside = rows_exist[:, None] & (units < HIDDEN)[None, :]
    heads = rows * tl.num_programs(2) + tl.program_id(2)
    own = heads[:, None] * HIDDEN + units[None, :]
    own_gates = heads[:, None] * 4 * HIDDEN + units[None, :]
    a_step = tl.cast(batch, tl.int64) * tl.num_programs(2) * HIDDEN

    weight = W + tl.program_id(2).to(tl.int64) * 4 * HIDDEN * HIDDEN + units * 4 * HIDDEN
    d_mean = tl.load(d_means + own, inside, 0.0)
    d_log_n = tl.load(d_log_ns + own, inside, 0.0)
    for n in range(start, stop):
        t = steps - 1 - n
        outputs = gates + t * 4 * a_step + own_gates
        z = tl.load(outputs, inside, 0.0)
        share = tl.load(outputs + HIDDEN, inside, 0.0)
        f = tl.load(outputs + 2 * HIDDEN, inside, 0.0)
        o = tl.load(outputs + 3 * HIDDEN, inside, 0.0)
        previous = tl.load(means + t * a_step + own, inside, 0.0)
        mean = tl.load(means + (t + 1) * a_step + own, inside, 0.0)
        d_state = tl.load(d_states + t * a_step + own, inside, 0.0)
        later = d_gates + (t + 1) * 4 * a_step + heads * 4 * HIDDEN
        d_state += product(later, rows_exist, weight, 1, units < HIDDEN, 4 * HIDDEN, ROWS, UNITS, PRECISION)
        d_o = d_state * mean * o * (1 - o)
        d_mean += d_state * o
        d_z = d_mean * share * (1 - z * z)
        d_i = d_mean * (z - previous) * share * (1 - share) + d_log_n * share
        d_log_n -= d_i  # α depends on ĩ - r, and ∂ log n is split between ĩ and r: now ∂r = ∂ log nᵢ₋₁
        d_f = d_log_n
        if SIGMOID:
            d_f *= tl.sigmoid(-f)
        d_mean *= 1 - share
        d_outputs = d_gates + t * 4 * a_step + own_gates
        tl.store(d_outputs, d_z, inside)
        tl.store(d_outputs + HIDDEN, d_i, inside)
        tl.store(d_outputs + 2 * HIDDEN, d_f, inside)
        tl.store(d_outputs + 3 * HIDDEN, d_o, inside)
        if n + 1 < stop:
            wait_for_all(arrived, n)
    tl.store(d_means + own, d_mean, inside)
    tl.store(d_log_ns + own, d_log_n, inside)
