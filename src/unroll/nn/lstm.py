"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

import torch
from torch import Tensor, nn

from unroll.nn.initialise import initialise_gates
from unroll.nn.weight_drop import WeightDropout


class LSTM(nn.Module):
    """i, f, o = σ(U xᵢ + W sᵢ₋₁ + b), g = tanh(U xᵢ + W sᵢ₋₁ + b), cᵢ = f cᵢ₋₁ + i g, sᵢ = o tanh(cᵢ).

    The forget gate starts open, with bias 1 (Jozefowicz et al. 2015), and W orthogonal gate by gate.

    Args:
        weight_dropout: the share of W that a training step does without.

    Raises:
        ValueError: `weight_dropout` is not a probability below 1.
    """

    def __init__(self, input_size: int, hidden_size: int, weight_dropout: float = 0.0) -> None:
        super().__init__()
        self.weight_dropout = WeightDropout(weight_dropout)
        self.loop = nn.LSTM(input_size, hidden_size, batch_first=True)
        U, W, b, b2 = self.loop.all_weights[0]
        initialise_gates(U, W, gates=4)
        nn.init.zeros_(b)
        nn.init.zeros_(b2)
        nn.init.ones_(b.chunk(4)[1])  # PyTorch's order: i, f, g, o

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        if not (self.training and self.weight_dropout.p):
            return self.loop(x)[0]
        U, W, b, b2 = self.loop.all_weights[0]
        start = x.new_zeros(1, len(x), self.loop.hidden_size)  # (layers, B, H)
        weights = [U, self.weight_dropout(W), b, b2]
        return torch.lstm(x, (start, start), weights, True, 1, 0.0, True, False, True)[0]  # what nn.LSTM calls
