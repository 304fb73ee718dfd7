"""Initial weights, activation gradients and precision, shared by several cells."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

# Gradient through an activation, computed from its output y. `grad_input=` names the result's tensor.
sigmoid_slope = torch.ops.aten.sigmoid_backward  # (d, y) → d y (1 - y)
tanh_slope = torch.ops.aten.tanh_backward  # (d, y) → d (1 - y²)
relu_slope = torch.ops.aten.threshold_backward  # (d, y, 0) → d where y > 0, else 0


def initialise_gates(input_weight: Tensor, recurrent_weight: Tensor, *biases: Tensor, gates: int) -> None:
    """Initialise U (gates · H, I) Xavier-uniform, W (gates · H, H) orthogonal, each gate apart, and the biases zero."""
    for block in input_weight.chunk(gates):
        nn.init.xavier_uniform_(block)
    for block in recurrent_weight.chunk(gates):
        nn.init.orthogonal_(block)
    for bias in biases:
        nn.init.zeros_(bias)


def input_projection(input_size: int, hidden_size: int, parts: int) -> nn.Linear:
    """U x + b for `parts` gates and candidates side by side: each U Xavier-uniform, b zero."""
    projection = nn.Linear(input_size, parts * hidden_size)
    for weight in projection.weight.chunk(parts):
        nn.init.xavier_uniform_(weight)
    nn.init.zeros_(projection.bias)
    return projection


def project_steps(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """U x + b with the steps first, (B, T, I) → contiguous (T, B, ·), in the type of the bias under autocast too."""
    return linear(x.transpose(0, 1), weight, bias).to(bias.dtype).contiguous()


def for_fused_loop(weights: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """U, W and the biases as PyTorch's fused loops want them on this device.

    cuDNN reads them from one block of memory in this order, as `nn.LSTM` holds its parameters. What lies elsewhere, as
    a dropped weight does, is copied there: in one differentiable copy here, or else in one for each weight and with a
    warning by PyTorch.
    """
    if device.type == "cpu":
        return list(weights)
    block = torch.cat([weight.flatten() for weight in weights])
    parts = block.split([weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]


def initialise_memory(bias: Tensor) -> None:
    """Set the bias of a forget gate σ(b) to log m, with memory m uniform over 1 to 64 steps (Tallec and Ollivier 2018).

    With b = 0 a state would lose half of its value at each step, and the beginning of a text could not reach its end.
    """
    with torch.no_grad():
        bias.uniform_(1, 64).log_()


def at_least_float32(x: Tensor) -> Tensor:
    """Convert the 16-bit result of an autocast product to float32, in which sums over many steps are accurate."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
