"""The linear recurrent unit (Orvieto et al. 2023)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import glu, linear

from unroll.nn.linear_recurrence import at_least_float32, linear_recurrence


class LRU(nn.Module):
    """hᵢ = λ ⊙ hᵢ₋₁ + γ ⊙ U xᵢ from h₀ = 0, yᵢ = Re(C hᵢ) + D xᵢ + b, sᵢ = GLU(yᵢ), left to right.

    h is complex, of hidden_size channels; λ = exp(-exp ν + 𝑖 exp θ), so |λ| < 1. U and C are complex, D and b real.
    The paper puts a non-linear layer behind every recurrence, without which a stack would be linear: here the gated
    linear unit, GLU(y) = y₁ ⊙ σ(y₂), whose projection to 2H is C, D and b themselves.

    λ starts uniform on the ring r_min ≤ |λ| ≤ r_max, 0 ≤ arg λ ≤ max_phase; γ = √(1 - |λ|²), learnt as log γ, keeps
    |h|² at |U x|²; U, C and D start normal with variance 1 / inputs.

    Args:
        r_min, r_max: memories start 1 / (1 - |λ|) steps long.
        max_phase: in radians.

    Raises:
        ValueError: not 0 ≤ r_min < r_max ≤ 1, or `max_phase` is not in (0, 2π].
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        super().__init__()
        if not 0 <= r_min < r_max <= 1:
            raise ValueError(f"r_min={r_min}, r_max={r_max}; accepted: 0 <= r_min < r_max <= 1")
        if not 0 < max_phase <= 2 * math.pi:
            raise ValueError(f"max_phase={max_phase}; accepted: above 0 and at most 2π")
        inside = torch.empty(2, hidden_size).uniform_(1e-6, 1 - 1e-6)  # at λ = 0 and |λ| = 1 there is no gradient
        squared_radius = r_min**2 + inside[0] * (r_max**2 - r_min**2)
        self.log_decay = nn.Parameter((-squared_radius.log() / 2).log())  # ν
        self.log_phase = nn.Parameter((max_phase * inside[1]).log())  # θ
        self.log_scale = nn.Parameter((1 - squared_radius).log() / 2)  # log γ
        self.input_weight = nn.Parameter(torch.empty(hidden_size, 2, input_size))  # U, its real and imaginary rows
        self.readout = nn.Linear(2 * hidden_size, 2 * hidden_size)  # C, conjugated: columns Re C and -Im C; b
        self.skip = nn.Linear(input_size, 2 * hidden_size, bias=False)  # D
        nn.init.normal_(self.input_weight, std=math.sqrt(1 / (2 * input_size)))
        nn.init.normal_(self.readout.weight, std=math.sqrt(1 / hidden_size))
        nn.init.zeros_(self.readout.bias)
        nn.init.normal_(self.skip.weight, std=math.sqrt(1 / input_size))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        decay = torch.exp(torch.complex(-self.log_decay.exp(), self.log_phase.exp()))  # λ (H,)
        weight = self.log_scale.exp()[:, None, None] * self.input_weight
        drive = at_least_float32(linear(x, weight.flatten(0, 1)))  # (B, T, 2H)
        hidden = linear_recurrence(decay, torch.view_as_complex(drive.unflatten(2, (-1, 2))))  # (B, T, H), complex
        return glu(self.readout(torch.view_as_real(hidden).flatten(2)) + self.skip(x), dim=2)
