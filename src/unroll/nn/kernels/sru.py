"""`SRU` from its projected inputs, in one launch, and its gradient in another.

The gates are computed where the memories are, so that no gate is written to memory; the gradient computes them again.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from unroll.nn.kernels.channels import STAGES, channels_per_line, grid_of, own_channels, read, sequence


def sru(inputs: Tensor, highway: Tensor | None, peephole: Tensor, scale: float) -> Tensor:
    """The states (B, T, H), computed in float32.

    Args:
        inputs: (B, T, 3H) or, without `highway`, (B, T, 4H), float32 or 16-bit: the candidates u, the arguments of the
            gates f and r without the peepholes, and the highway.
        highway: (B, T, H).
        peephole: v of f and r, (2, H).
        scale: factor α of the highway.
    """
    return _SRU.apply(inputs, highway, peephole, scale)


class _SRU(Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, highway: Tensor | None, peephole: Tensor, scale: float) -> Tensor:
        inputs, peephole = inputs.contiguous(), peephole.float().contiguous()
        highway = None if highway is None else highway.contiguous()
        memories = inputs.new_empty(*inputs.shape[:2], peephole.shape[1], dtype=torch.float32)
        states = torch.empty_like(memories)
        _run(_forward, inputs, _highway(inputs, highway), peephole, memories, states, scale=scale)
        ctx.save_for_backward(inputs, highway, peephole, memories)
        ctx.scale = scale
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        inputs, highway, peephole, memories = ctx.saved_tensors
        d_inputs = torch.empty_like(inputs)
        d_highway = None if highway is None else torch.empty_like(highway)
        d_peephole = peephole.new_empty(len(inputs), *peephole.shape)  # of each sequence
        _run(
            _backward, inputs, _highway(inputs, highway), peephole, memories, d_states.contiguous(),
            d_inputs, _highway(d_inputs, d_highway), d_peephole, scale=ctx.scale,
        )  # fmt: skip
        return d_inputs, d_highway, d_peephole.sum(dim=0), None


def _highway(inputs: Tensor, highway: Tensor | None) -> Tensor:
    """The highway (B, T, H), which without a tensor of its own is the last part of the inputs (B, T, 4H)."""
    return inputs.chunk(4, dim=2)[3] if highway is None else highway


def _run(
    kernel: Any, inputs: Tensor, highway: Tensor, peephole: Tensor, memories: Tensor, *others: Tensor, scale: float
) -> None:
    _, steps, channels = memories.shape
    block = channels_per_line(inputs, highway, memories)
    with torch.cuda.device_of(inputs):
        kernel[grid_of(memories, block)](
            inputs, highway, peephole, memories, *others, scale, steps, channels, inputs.stride(1), highway.stride(1),
            BLOCK=block, num_warps=1,
        )  # fmt: skip


@triton.jit(do_not_specialize=["steps"])
def _forward(
    inputs, highway, peephole, memories, states, scale, steps, channels, inputs_t, highway_t, BLOCK: tl.constexpr
):  # fmt: skip
    channel, inside = own_channels(channels, BLOCK)
    inputs = sequence(inputs, steps * inputs_t) + channel
    highway = sequence(highway, steps * highway_t) + channel
    memories = sequence(memories, steps * channels) + channel
    states = sequence(states, steps * channels) + channel
    v_f = read(peephole + channel, inside)
    v_r = read(peephole + channels + channel, inside)
    memory = tl.zeros([BLOCK], tl.float32)
    for t in tl.range(0, steps, num_stages=STAGES):
        step = inputs + t * inputs_t
        candidate = read(step, inside)
        f = tl.sigmoid(read(step + channels, inside) + v_f * memory)
        r = tl.sigmoid(read(step + 2 * channels, inside) + v_r * memory)
        bypass = scale * read(highway + t * highway_t, inside)
        memory = candidate + f * (memory - candidate)
        tl.store(memories + t * channels, memory, inside)
        tl.store(states + t * channels, bypass + r * (memory - bypass), inside)


@triton.jit(do_not_specialize=["steps"])
def _backward(
    inputs, highway, peephole, memories, d_states, d_inputs, d_highway, d_peephole,
    scale, steps, channels, inputs_t, highway_t, BLOCK: tl.constexpr,
):  # fmt: skip
    channel, inside = own_channels(channels, BLOCK)
    inputs = sequence(inputs, steps * inputs_t) + channel
    highway = sequence(highway, steps * highway_t) + channel
    memories = sequence(memories, steps * channels) + channel
    d_states = sequence(d_states, steps * channels) + channel
    d_inputs = sequence(d_inputs, steps * inputs_t) + channel
    d_highway = sequence(d_highway, steps * highway_t) + channel
    d_peephole = sequence(d_peephole, 2 * channels) + channel
    v_f = read(peephole + channel, inside)
    v_r = read(peephole + channels + channel, inside)
    later = tl.zeros([BLOCK], tl.float32)  # the gradient that comes from the next step
    d_v_f = later
    d_v_r = later
    for i in tl.range(0, steps, num_stages=STAGES):
        t = steps - 1 - i
        step = inputs + t * inputs_t
        d_step = d_inputs + t * inputs_t
        previous = read(memories + (t - 1) * channels, inside & (t > 0))
        candidate = read(step, inside)
        f = tl.sigmoid(read(step + channels, inside) + v_f * previous)
        r = tl.sigmoid(read(step + 2 * channels, inside) + v_r * previous)
        bypass = scale * read(highway + t * highway_t, inside)
        memory = candidate + f * (previous - candidate)
        d = read(d_states + t * channels, inside)
        d_memory = later + d * r
        d_r = d * (memory - bypass) * r * (1 - r)
        d_f = d_memory * (previous - candidate) * f * (1 - f)
        tl.store(d_step, d_memory * (1 - f), inside)
        tl.store(d_step + channels, d_f, inside)
        tl.store(d_step + 2 * channels, d_r, inside)
        tl.store(d_highway + t * highway_t, scale * d * (1 - r), inside)
        d_v_f += d_f * previous
        d_v_r += d_r * previous
        later = d_memory * f + d_f * v_f + d_r * v_r
    tl.store(d_peephole, d_v_f, inside)
    tl.store(d_peephole + channels, d_v_r, inside)
