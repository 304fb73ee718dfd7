"""The minimal gated recurrent unit (Feng et al. 2024)."""

from torch import Tensor, nn

from unroll.nn.linear_recurrence import at_least_float32, initialise_memory, linear_recurrence


class MinGRU(nn.Module):
    """z = σ(U xᵢ + b), h = U xᵢ + b, sᵢ = (1 - z) ⊙ sᵢ₋₁ + z ⊙ h from s₀ = 0, left to right.

    The gate and the candidate h each have their own U and b, and see no state. This is the plain version of the
    paper's text: in its appendix h is made positive only to take logarithms, which a recurrence in s itself does
    not need. U starts Xavier-uniform, the bias of h zero, that of z so that memories are 1 to 64 steps long.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input = nn.Linear(input_size, 2 * hidden_size)  # z, h
        for weight in self.input.weight.chunk(2):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.input.bias)
        initialise_memory(self.input.bias[:hidden_size])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        forget, candidate = at_least_float32(self.input(x)).chunk(2, dim=2)  # (B, T, H) each
        keep = forget.sigmoid()
        return linear_recurrence(keep, candidate - keep * candidate)
