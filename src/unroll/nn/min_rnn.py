"""The minimal GRU and LSTM, whose gates do not depend on the state (Feng et al. 2024)."""

from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from unroll.nn.gates import at_least_float32, initialise_memory, input_projection
from unroll.nn.kernels import has_float32_kernels
from unroll.nn.linear_recurrence import linear_recurrence


class MinGRU(nn.Module):
    """z = σ(U xᵢ + b), h = U xᵢ + b, sᵢ = (1 - z) ⊙ sᵢ₋₁ + z ⊙ h from s₀ = 0, left to right.

    Each gate and candidate has its own U and b. These are the equations of the paper's main text; its appendix makes h
    positive to compute in log space, which a recurrence in s itself does not need. U is Xavier-uniform, the bias of h
    zero, and the bias of z gives memories of 1 to 64 steps.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input = input_projection(input_size, hidden_size, parts=2)  # z, h
        initialise_memory(self.input.bias[:hidden_size])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        inputs = self.input(x)
        if has_float32_kernels(inputs):
            from unroll.nn.kernels.gated_recurrence import gated_recurrence

            return gated_recurrence(inputs, "min_gru")
        forget, candidate = at_least_float32(inputs).chunk(2, dim=2)  # (B, T, H) each
        keep = forget.sigmoid()  # 1 - z
        return linear_recurrence(keep, candidate - keep * candidate)


class MinLSTM(nn.Module):
    """f, i = σ(U xᵢ + b), h = U xᵢ + b, sᵢ = (f ⊙ sᵢ₋₁ + i ⊙ h) / (f + i) from s₀ = 0, left to right.

    All else is as for `MinGRU`; the biases of f and i are opposite, such that memories have 1 to 64 steps.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input = input_projection(input_size, hidden_size, parts=3)  # f, i, h
        forget, write, _ = self.input.bias.detach().chunk(3)
        initialise_memory(forget)
        write.copy_(-forget)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        inputs = self.input(x)
        if has_float32_kernels(inputs):
            from unroll.nn.kernels.gated_recurrence import gated_recurrence

            return gated_recurrence(inputs, "min_lstm")
        forget, write, candidate = at_least_float32(inputs).chunk(3, dim=2)  # (B, T, H) each
        keep = (logsigmoid(forget) - logsigmoid(write)).sigmoid()  # f / (f + i), also where both underflow to 0
        return linear_recurrence(keep, candidate - keep * candidate)
