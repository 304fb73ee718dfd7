"""The simple recurrent network (Elman 1990)."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from unroll.checks import check_choice
from unroll.nn.dropout import WeightDropout
from unroll.nn.gates import for_fused_loop, initialise_gates

Activation = Literal["sigmoid", "tanh", "relu"]


class Elman(nn.Module):
    """sᵢ = σ(U xᵢ + W sᵢ₋₁ + b) from s₀ = 0, left to right.

    PyTorch has fused loops for tanh and relu. The sigmoid uses that of tanh with other variables: since
    σ(z) = (1 + tanh(z / 2)) / 2, t = 2 s - 1 satisfies tᵢ = tanh(U/2 xᵢ + W/4 tᵢ₋₁ + b/2 + W/4 · 1) from t₀ = -1.

    U is initialised Xavier-uniform, W orthogonal and b to zero. In training, an entry of W is dropped with probability
    `weight_dropout`.
    """

    def __init__(
        self, input_size: int, hidden_size: int, activation: Activation = "tanh", weight_dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_choice("activation", activation, get_args(Activation))
        self.activation = activation
        self.weight_dropout = WeightDropout(weight_dropout)
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))  # U
        self.recurrent_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))  # W
        self.bias = nn.Parameter(torch.zeros(hidden_size))  # b
        initialise_gates(self.input_weight, self.recurrent_weight, gates=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        U: Tensor = self.input_weight
        W: Tensor = self.weight_dropout(self.recurrent_weight)
        b: Tensor = self.bias
        start = x.new_zeros(1, len(x), len(b))  # (layers, B, H)
        if self.activation == "sigmoid":
            U, W, b, start = U / 2, W / 4, b / 2 + W.sum(dim=1) / 4, start - 1
        loop = torch.rnn_relu if self.activation == "relu" else torch.rnn_tanh
        weights = for_fused_loop([U, W, b, torch.zeros_like(b)], x.device)
        states, _ = loop(x, start, weights, True, 1, 0.0, self.training, False, True)
        return (1 + states) / 2 if self.activation == "sigmoid" else states
