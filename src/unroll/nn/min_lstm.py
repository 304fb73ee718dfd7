"""The minimal LSTM (Feng et al. 2024)."""

from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from unroll.nn.linear_recurrence import at_least_float32, initialise_memory, linear_recurrence


class MinLSTM(nn.Module):
    """f, i = σ(U xᵢ + b), h = U xᵢ + b, sᵢ = (f ⊙ sᵢ₋₁ + i ⊙ h) / (f + i) from s₀ = 0, left to right.

    The gates and the candidate h each have their own U and b, and see no state. This is the plain version of the
    paper's text: in its appendix h is made positive only to take logarithms, which a recurrence in s itself does
    not need. U starts Xavier-uniform, the bias of h zero, those of f and i opposite, so that memories are 1 to 64
    steps long.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input = nn.Linear(input_size, 3 * hidden_size)  # f, i, h
        for weight in self.input.weight.chunk(3):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.input.bias)
        forget, write, _ = self.input.bias.detach().chunk(3)
        initialise_memory(forget)
        write.copy_(-forget)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        forget, write, candidate = at_least_float32(self.input(x)).chunk(3, dim=2)  # (B, T, H) each
        keep = (logsigmoid(forget) - logsigmoid(write)).sigmoid()  # f / (f + i), where both may be too small to divide
        return linear_recurrence(keep, candidate - keep * candidate)
