"""The gated recurrent unit (Cho et al. 2014)."""

import torch
from torch import Tensor, nn

from unroll.nn.initialise import initialise_gates
from unroll.nn.weight_drop import WeightDropout


class GRU(nn.Module):
    """r, z = σ(U xᵢ + W sᵢ₋₁ + b), n = tanh(U xᵢ + b + r (W sᵢ₋₁ + b')), sᵢ = (1 - z) n + z sᵢ₋₁.

    W starts orthogonal, gate by gate.

    Args:
        weight_dropout: the share of W that a training step does without.

    Raises:
        ValueError: `weight_dropout` is not a probability below 1.
    """

    def __init__(self, input_size: int, hidden_size: int, weight_dropout: float = 0.0) -> None:
        super().__init__()
        self.weight_dropout = WeightDropout(weight_dropout)
        self.loop = nn.GRU(input_size, hidden_size, batch_first=True)
        U, W, b, b2 = self.loop.all_weights[0]
        initialise_gates(U, W, gates=3)
        nn.init.zeros_(b)
        nn.init.zeros_(b2)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        if not (self.training and self.weight_dropout.p):
            return self.loop(x)[0]
        U, W, b, b2 = self.loop.all_weights[0]
        start = x.new_zeros(1, len(x), self.loop.hidden_size)  # (layers, B, H)
        weights = [U, self.weight_dropout(W), b, b2]
        return torch.gru(x, start, weights, True, 1, 0.0, True, False, True)[0]  # what nn.GRU calls
