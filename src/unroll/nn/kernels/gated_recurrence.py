"""`MinGRU`, `MinLSTM` and `QRNN` from their projected inputs, in one launch, and their gradient in another.

The gates are computed where the states are, so that no gate is written to memory; the gradient computes them again.
"""

from typing import Any, Literal

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from unroll.nn.kernels.channels import (
    STAGES,
    channels_per_line,
    grid_of,
    log_sigmoid,
    own_channels,
    read,
    sequence,
    tanh,
)

Cell = Literal["min_gru", "min_lstm", "qrnn"]
PARTS: dict[Cell, int] = {"min_gru": 2, "min_lstm": 3, "qrnn": 3}


def gated_recurrence(inputs: Tensor, cell: Cell) -> Tensor:
    """inputs: (B, T, parts · H), float32 or 16-bit → the cell's states (B, T, H), computed in float32.

    The parts are the arguments of the forget gate, of the input gate (`min_lstm`), of the candidate, and of the output
    gate (`qrnn`), in this order.
    """
    return _GatedRecurrence.apply(inputs, cell)


class _GatedRecurrence(Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, cell: Cell) -> Tensor:
        inputs = inputs.contiguous()
        batch, steps, width = inputs.shape
        memories = inputs.new_empty((batch, steps, width // PARTS[cell]), dtype=torch.float32)
        states = torch.empty_like(memories) if cell == "qrnn" else memories
        _run(_forward, inputs, memories, states, cell=cell)
        ctx.save_for_backward(inputs, memories)
        ctx.cell = cell
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, None]:
        inputs, memories = ctx.saved_tensors
        d_inputs = torch.empty_like(inputs)
        _run(_backward, inputs, memories, d_states.contiguous(), d_inputs, cell=ctx.cell)
        return d_inputs, None


def _run(kernel: Any, inputs: Tensor, memories: Tensor, *others: Tensor, cell: Cell) -> None:
    _, steps, channels = memories.shape
    block = channels_per_line(inputs, memories)
    with torch.cuda.device_of(inputs):
        kernel[grid_of(memories, block)](
            inputs, memories, *others, steps, channels, CELL=cell, PARTS=PARTS[cell], BLOCK=block, num_warps=1
        )


@triton.jit(do_not_specialize=["steps"])
def _forward(
    inputs, memories, states, steps, channels, CELL: tl.constexpr, PARTS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """The memories c, and for `qrnn` the states σ(o) ⊙ c; for the others they are the same."""
    channel, inside = own_channels(channels, BLOCK)
    inputs = sequence(inputs, steps * PARTS * channels) + channel
    memories = sequence(memories, steps * channels) + channel
    states = sequence(states, steps * channels) + channel
    memory = tl.zeros([BLOCK], tl.float32)
    for t in tl.range(0, steps, num_stages=STAGES):
        step = inputs + t * PARTS * channels
        forget = read(step, inside)
        if CELL == "min_lstm":
            write = read(step + channels, inside)
            forget = log_sigmoid(forget) - log_sigmoid(write)
            candidate = read(step + 2 * channels, inside)
        else:
            candidate = read(step + channels, inside)
        keep = tl.sigmoid(forget)
        if CELL == "qrnn":
            candidate = tanh(candidate)
        memory = candidate + keep * (memory - candidate)
        tl.store(memories + t * channels, memory, inside)
        if CELL == "qrnn":
            tl.store(states + t * channels, tl.sigmoid(read(step + 2 * channels, inside)) * memory, inside)


@triton.jit(do_not_specialize=["steps"])
def _backward(
    inputs, memories, d_states, d_inputs, steps, channels,
    CELL: tl.constexpr, PARTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    channel, inside = own_channels(channels, BLOCK)
    inputs = sequence(inputs, steps * PARTS * channels) + channel
    d_inputs = sequence(d_inputs, steps * PARTS * channels) + channel
    memories = sequence(memories, steps * channels) + channel
    d_states = sequence(d_states, steps * channels) + channel
    later = tl.zeros([BLOCK], tl.float32)  # the gradient that comes from the next step
    for i in tl.range(0, steps, num_stages=STAGES):
        t = steps - 1 - i
        step = inputs + t * PARTS * channels
        d_step = d_inputs + t * PARTS * channels
        forget = read(step, inside)
        if CELL == "min_lstm":
            write = read(step + channels, inside)
            keep = tl.sigmoid(log_sigmoid(forget) - log_sigmoid(write))
            candidate = read(step + 2 * channels, inside)
        else:
            keep = tl.sigmoid(forget)
            candidate = read(step + channels, inside)
        if CELL == "qrnn":
            candidate = tanh(candidate)
        previous = read(memories + (t - 1) * channels, inside & (t > 0))
        d = read(d_states + t * channels, inside)
        if CELL == "qrnn":
            output = tl.sigmoid(read(step + 2 * channels, inside))
            memory = candidate + keep * (previous - candidate)
            tl.store(d_step + 2 * channels, d * memory * output * (1 - output), inside)
            d *= output
        d += later
        d_forget = d * (previous - candidate) * keep * (1 - keep)
        d_candidate = d * (1 - keep)
        if CELL == "qrnn":
            d_candidate *= 1 - candidate * candidate
        if CELL == "min_lstm":
            tl.store(d_step, d_forget * tl.sigmoid(-forget), inside)
            tl.store(d_step + channels, -d_forget * tl.sigmoid(-write), inside)
            tl.store(d_step + 2 * channels, d_candidate, inside)
        else:
            tl.store(d_step, d_forget, inside)
            tl.store(d_step + channels, d_candidate, inside)
        later = d * keep
