"""The gated recurrent unit (Cho et al. 2014)."""

from torch import Tensor, nn


class GRU(nn.Module):
    """r, z = σ(U xᵢ + W sᵢ₋₁ + b), n = tanh(U xᵢ + b + r (W sᵢ₋₁ + b')), sᵢ = (1 - z) n + z sᵢ₋₁.

    W starts orthogonal, gate by gate.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.loop = nn.GRU(input_size, hidden_size, batch_first=True)
        for weight in self.loop.weight_hh_l0.chunk(3):
            nn.init.orthogonal_(weight)
        for weight in self.loop.weight_ih_l0.chunk(3):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.loop.bias_ih_l0)
        nn.init.zeros_(self.loop.bias_hh_l0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, I) → states (B, T, H) and the state after step T (B, H)."""
        states, last = self.loop(x)
        return states, last[0]
