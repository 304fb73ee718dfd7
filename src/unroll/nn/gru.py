"""The gated recurrent unit (Cho et al. 2014)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unroll.nn.dropout import WeightDropout
from unroll.nn.gates import for_fused_loop, initialise_gates, project_steps, sigmoid_slope, tanh_slope


class GRU(nn.Module):
    """r, z = σ(U xᵢ + W sᵢ₋₁ + b), n = tanh(U xᵢ + b + r (W sᵢ₋₁ + b')), sᵢ = (1 - z) n + z sᵢ₋₁.

    The W of each gate is initialised orthogonal, the biases to zero. In training, an entry of W is dropped with
    probability `weight_dropout`.
    """

    def __init__(self, input_size: int, hidden_size: int, weight_dropout: float = 0.0) -> None:
        super().__init__()
        self.weight_dropout = WeightDropout(weight_dropout)
        self.loop = nn.GRU(input_size, hidden_size, batch_first=True)
        U, W, b, b2 = self.loop.all_weights[0]
        initialise_gates(U, W, b, b2, gates=3)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        U, W, b, b2 = self.loop.all_weights[0]
        drops = self.training and self.weight_dropout.p > 0
        if drops:
            W = self.weight_dropout(W)
        if x.device.type == "cpu" and torch.is_grad_enabled():  # PyTorch has no fused kernel for this case
            return GRULoop.apply(project_steps(x, U, b), W, b2).transpose(0, 1)
        start = x.new_zeros(1, len(x), self.loop.hidden_size)  # (layers, B, H)
        weights: list[Tensor] = [U, W, b, b2]
        if drops:
            weights = for_fused_loop(weights, x.device)
        return torch.gru(x, start, weights, True, 1, 0.0, self.training, False, True)[0]  # what nn.GRU calls


class GRULoop(torch.autograd.Function):
    """The loop over time, in place, with an explicit gradient, faster than recording every step for autograd."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, W: Tensor, b2: Tensor) -> Tensor:
        """inputs: (T, B, 3H), U xᵢ + b, overwritten with r, z, n; W: (3H, H); b2: (3H,) → states (T, B, H)."""
        T, B, H = len(inputs), inputs.shape[1], W.shape[1]
        r, z, n = inputs.chunk(3, dim=2)
        r_and_z = inputs[:, :, : 2 * H]
        states = inputs.new_zeros(T + 1, B, H)  # from s₀
        memories = inputs.new_empty(T, B, 3 * H)  # W sᵢ₋₁ + b'
        for t in range(T):
            memory = torch.addmm(b2, states[t], W.t(), out=memories[t])
            r_and_z[t].add_(memory[:, : 2 * H]).sigmoid_()
            n[t].addcmul_(r[t], memory[:, 2 * H :]).tanh_()
            torch.lerp(n[t], states[t], z[t], out=states[t + 1])
        ctx.save_for_backward(inputs, W, memories[:, :, 2 * H :], states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Computes for all steps at once what does not depend on later steps; the loop does the rest."""
        gates, W, memories, states = ctx.saved_tensors
        T, B, H = memories.shape
        r, z, n = gates.chunk(3, dim=2)
        factors = gates.new_empty(T, B, 4, H)  # ∂s / ∂ the arguments of r and z, W sᵢ₋₁ + b' of n, the argument of n
        by_r, by_z, by_memory, by_n = factors.unbind(2)
        tanh_slope(1 - z, n, grad_input=by_n)
        torch.mul(by_n, r, out=by_memory)
        sigmoid_slope(by_n * memories, r, grad_input=by_r)
        sigmoid_slope(states[:-1] - n, z, grad_input=by_z)

        d_all = factors.flatten(2)  # (T, B, 4H); the loop turns factors into gradients
        d_state = gates.new_zeros(B, H)
        for t in reversed(range(T)):
            d_state += d_states[t]
            factors[t].mul_(d_state[:, None])
            d_state.mul_(z[t]).addmm_(d_all[t, :, : 3 * H], W)

        d_recurrent = d_all[:, :, : 3 * H].flatten(0, 1)  # (TB, 3H)
        d_inputs = torch.cat([d_all[:, :, : 2 * H], by_n], dim=2)
        return d_inputs, d_recurrent.t() @ states[:-1].flatten(0, 1), d_recurrent.sum(dim=0)
