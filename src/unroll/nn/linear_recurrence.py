"""The element-wise linear recurrence sᵢ = aᵢ ⊙ sᵢ₋₁ + bᵢ."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from unroll.nn.gates import at_least_float32
from unroll.nn.kernels import has_kernels


def linear_recurrence(decay: Tensor, drive: Tensor) -> Tensor:
    """sᵢ = aᵢ ⊙ sᵢ₋₁ + bᵢ from s₀ = 0, left to right; real or complex.

    decay: a, (B, T, H) or broadcastable to it, drive: b, (B, T, H) → states (B, T, H), in float32 or wider.
    """
    return _LinearRecurrence.apply(at_least_float32(decay), at_least_float32(drive))


class _LinearRecurrence(Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor) -> Tensor:
        if decay.dtype == drive.dtype and has_kernels(drive):
            from unroll.nn.kernels import linear_recurrence as kernels

            states = kernels.forward(decay.expand_as(drive), drive)
        else:
            states = scan(decay.expand_as(drive), drive)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        if decay.dtype == grad.dtype and has_kernels(grad):
            from unroll.nn.kernels import linear_recurrence as kernels

            grad_decay, grad_drive = kernels.backward(decay.expand_as(grad), states, grad)
            return grad_decay.sum_to_size(decay.shape), grad_drive
        grad_drive = scan(decay.conj_physical().expand_as(grad), grad, backward=True)
        grad_decay = torch.empty_like(states)
        grad_decay[:, 0] = 0
        torch.mul(grad_drive[:, 1:], states[:, :-1].conj(), out=grad_decay[:, 1:])
        return grad_decay.sum_to_size(decay.shape), grad_drive


def scan(decay: Tensor, drive: Tensor, backward: bool = False) -> Tensor:
    """sᵢ = aᵢ sᵢ₋₁ + bᵢ from left to right; with `backward`, sᵢ = aᵢ₊₁ sᵢ₊₁ + bᵢ from right to left.

    decay, drive: (B, T, H) → states (B, T, H). Not differentiable.
    """
    states = torch.empty_like(drive, memory_format=torch.contiguous_format)
    if backward:
        states[:, -1] = drive[:, -1]
        _advance(drive[:, -1], decay[:, 1:], drive[:, :-1], states[:, :-1], way=-1)
    else:
        states[:, 0] = drive[:, 0]
        _advance(drive[:, 0], decay[:, 1:], drive[:, 1:], states[:, 1:], way=1)
    return states


def _advance(start: Tensor, decay: Tensor, drive: Tensor, states: Tensor, way: int) -> Tensor:
    """Fill `states` (B, T, H) from `start` (B, H), left to right (way 1) or right to left (-1); return the last state.

    Works on chunks of about √T steps, all chunks at once. For each chunk it computes the last state from a start at
    zero and the product of the decays, from these the chunks' starts, and then the states. That takes about √T calls
    instead of T, and half the time of a loop over the steps (training, one CPU thread, 8 × 128 channels: 5 against
    11 ms at 1000 steps, 23 against 45 ms at 4000). A parallel scan in log₂ T sweeps takes five times as long.
    """
    steps = drive.shape[1]
    if steps == 0:
        return start
    width = max(1, math.isqrt(steps // 3))  # balances three calls per step of a chunk against one call per chunk
    if odd := steps % width:  # first the steps that do not fill a chunk
        sizes = [odd, steps - odd][::way]
        (a, decay), (b, drive), (s, states) = (x.split(sizes, dim=1)[::way] for x in (decay, drive, states))
        start = _advance(start, a, b, s, way)

    # Lists over the steps of a chunk, in scan order; each element is (B, chunks, H).
    decays, drives, outs = (x.unflatten(1, (-1, width)).unbind(2)[::way] for x in (decay, drive, states))
    end, left = drives[0], decays[0]
    for a, b in zip(decays[1:], drives[1:], strict=True):
        end, left = torch.addcmul(b, a, end), left * a
    state = torch.empty_like(end)
    # Lists over the chunks; each element is (B, H).
    ends, lefts, starts = (x.unbind(1)[::way] for x in (end, left, state))
    starts[0].copy_(start)
    for i in range(1, len(starts)):
        torch.addcmul(ends[i - 1], lefts[i - 1], starts[i - 1], out=starts[i])
    for a, b, s in zip(decays, drives, outs, strict=True):
        state = torch.addcmul(b, a, state, out=s)
    return state.unbind(1)[::way][-1]
