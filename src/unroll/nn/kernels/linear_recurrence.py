"""The linear recurrence sᵢ = aᵢ ⊙ sᵢ₋₁ + bᵢ and its gradient, real or complex, in one launch each."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from unroll.nn.kernels.channels import STAGES, channels_per_line, grid_of, own_channels, sequence


def forward(decay: Tensor, drive: Tensor) -> Tensor:
    """decay: a, drive: b, (B, T, H) each, of one type → states (B, T, H)."""
    states = torch.empty_like(drive, memory_format=torch.contiguous_format)
    grid, sizes = _layout(states)
    with torch.cuda.device_of(drive):
        _forward[grid](*_parts(decay), *_parts(drive), *_parts(states), **sizes, FIXED=decay.stride(1) == 0)
    return states


def backward(decay: Tensor, states: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of a and b from that of the states, (B, T, H) each; that of a is (B, 1, H) if a is one step's."""
    fixed = decay.stride(1) == 0
    grad_drive = torch.empty_like(states)
    grad_decay = torch.empty_like(states[:, :1] if fixed else states, memory_format=torch.contiguous_format)
    grid, sizes = _layout(states)
    tensors = (decay, states, grad, grad_decay, grad_drive)
    with torch.cuda.device_of(grad):
        _backward[grid](*(part for x in tensors for part in _parts(x)), **sizes, FIXED=fixed)
    return grad_decay, grad_drive


def _layout(states: Tensor) -> tuple[tuple[int, int], dict[str, Any]]:
    """The grid, and the arguments that follow from the states (B, T, H)."""
    _, steps, channels = states.shape
    block = channels_per_line(states)
    sizes = {"steps": steps, "channels": channels, "BLOCK": block, "PARTS": 2 if states.is_complex() else 1}
    return grid_of(states, block), sizes | {"num_warps": 1}


def _parts(x: Tensor) -> tuple[Tensor, int, int, int]:
    """x as real numbers, the parts of a complex one side by side; the strides of sequence, step and channel."""
    x = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return x, x.stride(0), x.stride(1), x.stride(2)


@triton.jit(do_not_specialize=["steps"])
def _forward(
    decay, decay_b, decay_t, decay_h, drive, drive_b, drive_t, drive_h, states, states_b, states_t, states_h,
    steps, channels, BLOCK: tl.constexpr, PARTS: tl.constexpr, FIXED: tl.constexpr,
):  # fmt: skip
    decay, inside = _channels(decay, decay_b, decay_h, channels, BLOCK, PARTS)
    drive, _ = _channels(drive, drive_b, drive_h, channels, BLOCK, PARTS)
    states, _ = _channels(states, states_b, states_h, channels, BLOCK, PARTS)
    state = tl.zeros([BLOCK, PARTS], states.dtype.element_ty)
    if FIXED:
        a = tl.load(decay, inside, 0.0)
    for t in tl.range(0, steps, num_stages=STAGES):
        if not FIXED:
            a = tl.load(decay + t * decay_t, inside, 0.0)
        state = _product(a, state, PARTS) + tl.load(drive + t * drive_t, inside, 0.0)
        tl.store(states + t * states_t, state, inside)


@triton.jit(do_not_specialize=["steps"])
def _backward(
    decay, decay_b, decay_t, decay_h, states, states_b, states_t, states_h, grad, grad_b, grad_t, grad_h,
    grad_decay, grad_decay_b, grad_decay_t, grad_decay_h, grad_drive, grad_drive_b, grad_drive_t, grad_drive_h,
    steps, channels, BLOCK: tl.constexpr, PARTS: tl.constexpr, FIXED: tl.constexpr,
):  # fmt: skip
    decay, inside = _channels(decay, decay_b, decay_h, channels, BLOCK, PARTS)
    states, _ = _channels(states, states_b, states_h, channels, BLOCK, PARTS)
    grad, _ = _channels(grad, grad_b, grad_h, channels, BLOCK, PARTS)
    grad_decay, _ = _channels(grad_decay, grad_decay_b, grad_decay_h, channels, BLOCK, PARTS)
    grad_drive, _ = _channels(grad_drive, grad_drive_b, grad_drive_h, channels, BLOCK, PARTS)
    later = tl.zeros([BLOCK, PARTS], states.dtype.element_ty)  # the gradient that comes from the next step
    total = later
    if FIXED:
        a = tl.load(decay, inside, 0.0)
    for i in tl.range(0, steps, num_stages=STAGES):
        t = steps - 1 - i
        if not FIXED:
            a = tl.load(decay + t * decay_t, inside, 0.0)
        d = tl.load(grad + t * grad_t, inside, 0.0) + later
        previous = tl.load(states + (t - 1) * states_t, inside & (t > 0), 0.0)
        d_decay = _product_with_conjugate(d, previous, PARTS)
        if FIXED:
            total += d_decay
        else:
            tl.store(grad_decay + t * grad_decay_t, d_decay, inside)
        tl.store(grad_drive + t * grad_drive_t, d, inside)
        later = _product_with_conjugate(d, a, PARTS)
    if FIXED:
        tl.store(grad_decay, total, inside)


@triton.jit
def _channels(x, by_sequence, by_channel, channels, BLOCK: tl.constexpr, PARTS: tl.constexpr):
    """This program's channels at the first step of x: pointers (BLOCK, PARTS), and which of them exist."""
    channel, inside = own_channels(channels, BLOCK)
    own = sequence(x, by_sequence) + channel * by_channel
    return own[:, None] + tl.arange(0, PARTS)[None, :], tl.broadcast_to(inside[:, None], BLOCK, PARTS)


@triton.jit
def _product(x, y, PARTS: tl.constexpr):
    if PARTS == 1:
        return x * y
    else:
        x_re, x_im = tl.split(x)
        y_re, y_im = tl.split(y)
        return tl.join(x_re * y_re - x_im * y_im, x_re * y_im + x_im * y_re)


@triton.jit
def _product_with_conjugate(x, y, PARTS: tl.constexpr):
    if PARTS == 1:
        return x * y
    else:
        x_re, x_im = tl.split(x)
        y_re, y_im = tl.split(y)
        return tl.join(x_re * y_re + x_im * y_im, x_im * y_re - x_re * y_im)
