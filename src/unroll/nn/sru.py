"""The simple recurrent unit (Lei et al. 2018)."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import linear, pad

from unroll.nn.gates import at_least_float32, initialise_memory
from unroll.nn.kernels import has_float32_kernels
from unroll.nn.linear_recurrence import scan

SCALE = math.sqrt(3)  # α = √(1 + 2 exp b) for the initial reset bias b = 0


class SRU(nn.Module):
    """Light recurrence with a highway connection, from c₀ = 0, left to right, with α = √3.

        f = σ(U xᵢ + v ⊙ cᵢ₋₁ + b), cᵢ = f ⊙ cᵢ₋₁ + (1 - f) ⊙ U xᵢ,
        r = σ(U xᵢ + v ⊙ cᵢ₋₁ + b), sᵢ = r ⊙ cᵢ + (1 - r) ⊙ α xᵢ.

    Each occurrence of U is a separate matrix; f and r have separate vectors v and b. If input_size differs from
    hidden_size, another U xᵢ replaces xᵢ in the highway, as in the authors' code. As in the paper U is initialised
    uniform with variance 1 / input_size, v with variance 1, both with half of it in f and r, and b of r is zero. In the
    paper b of f is zero as well; here it gives memories of 1 to 64 steps, so that the beginning of a text can reach its
    end.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        parts = 3 if input_size == hidden_size else 4
        self.input_weight = nn.Parameter(torch.empty(parts * hidden_size, input_size))  # U of c, f, r, the highway
        self.peephole = nn.Parameter(torch.empty(2, hidden_size))  # v of f, r
        self.bias = nn.Parameter(torch.zeros(2 * hidden_size))  # b of f, r
        bound = math.sqrt(3 / input_size)
        nn.init.uniform_(self.input_weight, -bound, bound)
        nn.init.uniform_(self.peephole, -math.sqrt(1.5), math.sqrt(1.5))
        with torch.no_grad():
            self.input_weight[hidden_size : 3 * hidden_size] *= math.sqrt(0.5)
        initialise_memory(self.bias[:hidden_size])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        hidden_size = self.peephole.shape[1]
        bias = pad(self.bias, (hidden_size, len(self.input_weight) - 3 * hidden_size))
        projected = linear(x, self.input_weight, bias)
        if has_float32_kernels(projected):
            from unroll.nn.kernels.sru import sru

            has_highway = len(self.input_weight) == 4 * hidden_size
            return sru(projected, None if has_highway else x, self.peephole, SCALE)
        candidate, forget, reset, *highway = at_least_float32(projected).split(hidden_size, dim=2)  # (B, T, H) each
        memories: Tensor = _Memories.apply(candidate, forget, self.peephole[0])  # (B, 1 + T, H)
        carry = torch.addcmul(reset, self.peephole[1], memories[:, :-1]).sigmoid()
        return torch.lerp(SCALE * (highway[0] if highway else at_least_float32(x)), memories[:, 1:], carry)


class _Memories(Function):
    """c₀ … c_T (B, 1 + T, H): cᵢ = fᵢ ⊙ cᵢ₋₁ + (1 - fᵢ) ⊙ uᵢ with fᵢ = σ(kᵢ + v ⊙ cᵢ₋₁), from c₀ = 0.

    The arguments are the candidates u and the inputs k of the gate, (B, T, H) each, and the peephole v (H,). The
    gradient is a linear recurrence.
    """

    @staticmethod
    def forward(ctx: Any, candidates: Tensor, forget: Tensor, peephole: Tensor) -> Tensor:
        keep = torch.empty_like(forget, memory_format=torch.contiguous_format)
        memories = keep.new_zeros(keep.shape[0], 1 + keep.shape[1], keep.shape[2])
        last, *rest = memories.unbind(1)
        for u, k, f, c in zip(candidates.unbind(1), forget.unbind(1), keep.unbind(1), rest, strict=True):
            torch.addcmul(k, peephole, last, out=f).sigmoid_()
            last = torch.lerp(u, last, f, out=c)
        ctx.save_for_backward(candidates, keep, memories, peephole)
        return memories

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        candidates, keep, memories, peephole = ctx.saved_tensors
        pull = (memories[:, :-1] - candidates).mul_(keep)
        pull.addcmul_(pull, keep, value=-1)  # ∂cᵢ/∂kᵢ = (cᵢ₋₁ - uᵢ) fᵢ (1 - fᵢ)
        decay = torch.addcmul(keep, pull, peephole)  # ∂cᵢ/∂cᵢ₋₁ = fᵢ + v ∂cᵢ/∂kᵢ
        grad = scan(decay, grad[:, 1:], backward=True)
        grad_forget = pull.mul_(grad)
        grad_peephole = (grad_forget * memories[:, :-1]).sum((0, 1))
        return grad.addcmul_(grad, keep, value=-1), grad_forget, grad_peephole
