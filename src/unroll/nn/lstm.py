"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from functools import cache

import torch
from torch import Tensor, nn

from unroll.nn.dropout import WeightDropout
from unroll.nn.gates import for_fused_loop, initialise_gates


class LSTM(nn.Module):
    """i, f, o = σ(U xᵢ + W sᵢ₋₁ + b), g = tanh(U xᵢ + W sᵢ₋₁ + b), cᵢ = f cᵢ₋₁ + i g, sᵢ = o tanh(cᵢ).

    The bias of the forget gate is initialised to 1 (Jozefowicz et al. 2015), each gate's W is orthogonal. In training,
    an entry of W is dropped with probability `weight_dropout`.

    Under CPU autocast to a 16-bit type that the processor has no LSTM for, the states are computed in float32 and
    then converted, so that their type does not depend on the processor.
    """

    def __init__(self, input_size: int, hidden_size: int, weight_dropout: float = 0.0) -> None:
        super().__init__()
        self.weight_dropout = WeightDropout(weight_dropout)
        self.loop = nn.LSTM(input_size, hidden_size, batch_first=True)
        U, W, b, b2 = self.loop.all_weights[0]
        initialise_gates(U, W, b, b2, gates=4)
        nn.init.ones_(b.chunk(4)[1])  # PyTorch's order: i, f, g, o

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            if not supports_lstm(dtype):
                with torch.autocast("cpu", enabled=False):
                    return self._states(x.to(self.loop.all_weights[0][0].dtype)).to(dtype)
        return self._states(x)

    def _states(self, x: Tensor) -> Tensor:
        if not (self.training and self.weight_dropout.p):
            return self.loop(x)[0]
        U, W, b, b2 = self.loop.all_weights[0]
        start = x.new_zeros(1, len(x), self.loop.hidden_size)  # (layers, B, H)
        weights = for_fused_loop([U, self.weight_dropout(W), b, b2], x.device)
        return torch.lstm(x, (start, start), weights, True, 1, 0.0, True, False, True)[0]  # what nn.LSTM calls


@cache
def supports_lstm(dtype: torch.dtype) -> bool:
    """Whether this processor can run and differentiate an LSTM under CPU autocast to `dtype`; tries one of size 1.

    PyTorch's CPU flags ignore the limit that the environment variable `ONEDNN_MAX_CPU_ISA` sets.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.zeros(1, 1, 1, requires_grad=True)
        weights = [torch.zeros(shape, requires_grad=True) for shape in ((4, 1), (4, 1), 4, 4)]  # no random numbers
        try:
            for training in (False, True):
                with torch.autocast("cpu", dtype), torch.set_grad_enabled(training):
                    states = torch.lstm(x, (x, x), weights, True, 1, 0.0, training, False, True)[0]
            states.sum().backward()
        except RuntimeError:
            return False
    return True
