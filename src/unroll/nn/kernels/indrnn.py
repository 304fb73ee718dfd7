"""The loop of `IndRNN` over the steps, sᵢ = relu(kᵢ + w ⊙ sᵢ₋₁), and its gradient, in one launch each."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from unroll.nn.kernels.channels import STAGES, channels_per_line, own_channels, sequence


def forward(states: Tensor, weight: Tensor) -> None:
    """states: (T, B, H), contiguous, the inputs k, overwritten with the states; weight: (H,)."""
    steps, batch, channels = states.shape
    block = channels_per_line(states)
    with torch.cuda.device_of(states):
        _forward[triton.cdiv(channels, block), batch](states, weight, batch, steps, channels, BLOCK=block, num_warps=1)


def backward(states: Tensor, weight: Tensor, d_states: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the inputs (T, B, H) and of the weight (H,) from that of the states."""
    steps, batch, channels = states.shape
    block = channels_per_line(states)
    d_inputs, d_weight = torch.empty_like(states), states.new_empty(batch, channels)
    with torch.cuda.device_of(states):
        _backward[triton.cdiv(channels, block), batch](
            states, weight, d_states.contiguous(), d_inputs, d_weight, batch, steps, channels, BLOCK=block, num_warps=1
        )
    return d_inputs, d_weight.sum(dim=0)


@triton.jit(do_not_specialize=["batch", "steps"])
def _forward(states, weight, batch, steps, channels, BLOCK: tl.constexpr):
    channel, inside = own_channels(channels, BLOCK)
    states = sequence(states, channels) + channel
    w = tl.load(weight + channel, inside, 0.0)
    a_step = tl.cast(batch, tl.int64) * channels
    state = tl.zeros([BLOCK], states.dtype.element_ty)
    for t in tl.range(0, steps, num_stages=STAGES):
        step = states + t * a_step
        state = relu(tl.load(step, inside, 0.0) + w * state)
        tl.store(step, state, inside)


@triton.jit(do_not_specialize=["batch", "steps"])
def _backward(states, weight, d_states, d_inputs, d_weight, batch, steps, channels, BLOCK: tl.constexpr):
    """dᵢ = relu' ⊙ (∂L/∂sᵢ + w ⊙ dᵢ₊₁) is the gradient of kᵢ, and Σ dᵢ ⊙ sᵢ₋₁ that of w, here for each sequence."""
    channel, inside = own_channels(channels, BLOCK)
    states = sequence(states, channels) + channel
    d_states = sequence(d_states, channels) + channel
    d_inputs = sequence(d_inputs, channels) + channel
    d_weight = sequence(d_weight, channels) + channel
    w = tl.load(weight + channel, inside, 0.0)
    a_step = tl.cast(batch, tl.int64) * channels
    d = tl.zeros([BLOCK], states.dtype.element_ty)
    total = d
    for i in tl.range(0, steps, num_stages=STAGES):
        t = (steps - 1 - i) * a_step
        state = tl.load(states + t, inside, 0.0)
        previous = tl.load(states + t - a_step, inside & (i < steps - 1), 0.0)
        d = tl.where(state > 0, tl.load(d_states + t, inside, 0.0) + w * d, 0.0)
        total += d * previous
        tl.store(d_inputs + t, d, inside)
    tl.store(d_weight, total, inside)


@triton.jit
def relu(x):
    """max(x, 0); NaN stays NaN."""
    return tl.where(x < 0, 0.0, x)
