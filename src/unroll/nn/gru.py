"""The gated recurrent unit (Cho et al. 2014)."""

from torch import Tensor, nn

from unroll.nn.initialise import initialise_gates


class GRU(nn.Module):
    """r, z = σ(U xᵢ + W sᵢ₋₁ + b), n = tanh(U xᵢ + b + r (W sᵢ₋₁ + b')), sᵢ = (1 - z) n + z sᵢ₋₁.

    W starts orthogonal, gate by gate.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.loop = nn.GRU(input_size, hidden_size, batch_first=True)
        initialise_gates(self.loop, gates=3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, I) → states (B, T, H) and the state after step T (B, H)."""
        states, last = self.loop(x)
        return states, last[0]
