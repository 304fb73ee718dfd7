"""The independently recurrent network (Li et al. 2018)."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unroll.nn.gates import project_steps, relu_slope
from unroll.nn.kernels import has_kernels


class IndRNN(nn.Module):
    """sᵢ = relu(U xᵢ + w ⊙ sᵢ₋₁ + b) from s₀ = 0, left to right.

    w is a vector: a unit depends on its own past only, and stacked layers mix the units. w is initialised uniform in
    [0, 1], from no memory to unlimited memory. The paper clips |w| to 2^(1/T) after each update; here the recurrence
    uses w clipped to |w| ≤ 1, which is stable at any length, and a weight beyond the bound gets no gradient that
    would move it further away.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))  # U
        self.recurrent_weight = nn.Parameter(torch.rand(hidden_size))  # w
        self.bias = nn.Parameter(torch.zeros(hidden_size))  # b
        nn.init.xavier_uniform_(self.input_weight)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        inputs = project_steps(x, self.input_weight, self.bias)  # (T, B, H)
        return IndRNNLoop.apply(inputs, self.recurrent_weight).transpose(0, 1)


class IndRNNLoop(torch.autograd.Function):
    """The loop over time, in place, with an explicit gradient, faster than recording every step for autograd."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor) -> Tensor:
        """states: (T, B, H), U xᵢ + b, overwritten with the states; weight: (H,) → states (T, B, H)."""
        w = weight.clamp(-1, 1)
        if has_kernels(states):
            from unroll.nn.kernels import indrnn as kernels

            kernels.forward(states, w)
        else:
            states[0].relu_()
            for previous, state in pairwise(states):
                state.addcmul_(previous, w).relu_()
        ctx.mark_dirty(states)
        ctx.save_for_backward(states, weight)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor]:
        states, weight = ctx.saved_tensors
        w = weight.clamp(-1, 1)
        if has_kernels(states):
            from unroll.nn.kernels import indrnn as kernels

            d_inputs, d_weight = kernels.backward(states, w, d_states)
        else:
            d_inputs = relu_slope(d_states, states, 0, grad_input=torch.empty_like(states))
            passed_on = relu_slope(w.expand_as(states), states, 0)
            for t in reversed(range(len(states) - 1)):
                d_inputs[t].addcmul_(d_inputs[t + 1], passed_on[t])  # dᵢ = relu' (∂L/∂sᵢ + w dᵢ₊₁)
            d_weight = (d_inputs[1:] * states[:-1]).sum(dim=(0, 1))
        outwards = (weight.abs() > 1) & (weight * d_weight < 0)  # a descent step would increase |w|
        return d_inputs, d_weight.masked_fill(outwards, 0)
