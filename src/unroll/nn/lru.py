"""The linear recurrent unit (Orvieto et al. 2023)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import glu, linear

from unroll.nn.gates import at_least_float32
from unroll.nn.linear_recurrence import linear_recurrence


class LRU(nn.Module):
    """hᵢ = λ ⊙ hᵢ₋₁ + γ ⊙ U xᵢ from h₀ = 0, yᵢ = Re(C hᵢ) + D xᵢ + b, sᵢ = GLU(yᵢ), left to right.

    h is complex, of size hidden_size; λ = exp(-exp ν + 𝑖 exp θ), so that |λ| < 1. U and C are complex, D and b real.
    The paper follows each recurrence with a non-linear layer. Here it is the gated linear unit,
    GLU(y) = y₁ ⊙ σ(y₂), and C, D and b project to its input of size 2H.

    λ is initialised uniform on the ring r_min ≤ |λ| ≤ r_max, 0 ≤ arg λ ≤ max_phase (in radians); a memory has
    1 / (1 - |λ|) steps. γ = √(1 - |λ|²), learned as log γ, keeps |h|² at |U x|²; U, C and D are initialised normal with
    variance 1 / number of inputs.
    """

    def __init__(
        self, input_size: int, hidden_size: int, r_min: float = 0.0, r_max: float = 1.0, max_phase: float = 2 * math.pi
    ) -> None:
        super().__init__()
        if not 0 <= r_min < r_max <= 1:
            raise ValueError(f"r_min={r_min}, r_max={r_max}; accepted: 0 <= r_min < r_max <= 1")
        if not 0 < max_phase <= 2 * math.pi:
            raise ValueError(f"max_phase={max_phase}; accepted: above 0 and at most 2π")
        inside = torch.empty(2, hidden_size).uniform_(1e-6, 1 - 1e-6)  # the gradient is not finite at λ = 0 and |λ| = 1
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
