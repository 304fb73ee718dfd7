"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from torch import Tensor, nn

from unroll.nn.initialise import initialise_gates


class LSTM(nn.Module):
    """i, f, o = σ(U xᵢ + W sᵢ₋₁ + b), g = tanh(U xᵢ + W sᵢ₋₁ + b), cᵢ = f cᵢ₋₁ + i g, sᵢ = o tanh(cᵢ).

    The forget gate starts open, with bias 1 (Jozefowicz et al. 2015), and W orthogonal gate by gate.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.loop = nn.LSTM(input_size, hidden_size, batch_first=True)
        initialise_gates(self.loop, gates=4)
        forget = self.loop.get_parameter("bias_ih_l0").chunk(4)[1]  # PyTorch's order: i, f, g, o
        nn.init.ones_(forget)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, T, I) → states (B, T, H) and the state after step T (B, H)."""
        states, (last, _) = self.loop(x)
        return states, last[0]
