"""The quasi-recurrent network (Bradbury et al. 2016)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from unroll.checks import check_least
from unroll.nn.gates import at_least_float32, initialise_memory, input_projection
from unroll.nn.kernels import has_float32_kernels
from unroll.nn.linear_recurrence import linear_recurrence


class QRNN(nn.Module):
    """z = tanh(U X + b), f, o = σ(U X + b), cᵢ = f ⊙ cᵢ₋₁ + (1 - f) ⊙ z from c₀ = 0, sᵢ = o ⊙ cᵢ, left to right.

    X is the `window` of k steps xᵢ₋ₖ₊₁ … xᵢ, zero before the first step: a causal convolution with separate U and b for
    each of z, f and o, followed by fo-pooling. U is Xavier-uniform, the biases of z and o are zero, and the bias of f,
    which the paper does not specify, gives memories of 1 to 64 steps.
    """

    def __init__(self, input_size: int, hidden_size: int, window: int = 2) -> None:
        super().__init__()
        check_least(1, window=window)
        self.window = window
        self.input = input_projection(window * input_size, hidden_size, parts=3)  # f, z, o
        initialise_memory(self.input.bias[:hidden_size])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        padded = pad(x, (0, 0, self.window - 1, 0))  # (B, k - 1 + T, I)
        windows = torch.cat([padded[:, i : i + x.shape[1]] for i in range(self.window)], dim=2)  # (B, T, k I)
        inputs = self.input(windows)
        if has_float32_kernels(inputs):
            from unroll.nn.kernels.gated_recurrence import gated_recurrence

            return gated_recurrence(inputs, "qrnn")
        forget, candidate, output = at_least_float32(inputs).chunk(3, dim=2)  # (B, T, H) each
        keep, candidate = forget.sigmoid(), candidate.tanh()
        return output.sigmoid() * linear_recurrence(keep, candidate - keep * candidate)
