"""The LSTM with peephole connections (Gers and Schmidhuber 2000)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unroll.nn.gates import initialise_gates, project_steps, sigmoid_slope, tanh_slope
from unroll.nn.kernels import has_recurrent_kernels


class PeepholeLSTM(nn.Module):
    """The LSTM whose gates depend on the cell state, in the form of Graves (2013).

    i, f = σ(U xᵢ + W sᵢ₋₁ + p cᵢ₋₁ + b), g = tanh(U xᵢ + W sᵢ₋₁ + b), cᵢ = f cᵢ₋₁ + i g,
    o = σ(U xᵢ + W sᵢ₋₁ + p cᵢ + b), sᵢ = o tanh(cᵢ).

    Each gate has its own U, W, b and p; p is a vector, so that a gate depends on the cell of its own unit only. At
    initialisation the cell is a plain LSTM: p is zero, the bias of the forget gate 1, each gate's W orthogonal. The
    gradient is exact; the paper of 2000 truncates it at the gates.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.empty(4 * hidden_size, input_size))  # U of i, f, g, o
        self.recurrent_weight = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))  # W
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))  # b
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_size))  # p of i, f, o
        initialise_gates(self.input_weight, self.recurrent_weight, gates=4)
        nn.init.ones_(self.bias.chunk(4)[1])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        inputs = project_steps(x, self.input_weight, self.bias)  # (T, B, 4H)
        return PeepholeLoop.apply(inputs, self.recurrent_weight, self.peepholes).transpose(0, 1)


class PeepholeLoop(torch.autograd.Function):
    """The loop over time, in place, with an explicit gradient, faster than recording every step for autograd."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, W: Tensor, peepholes: Tensor) -> Tensor:
        """gates: (T, B, 4H), U xᵢ + b, set to i, f, g, o; W: (4H, H); peepholes: (3, H) → states (T, B, H)."""
        if has_recurrent_kernels(gates, hidden=W.shape[1]):
            from unroll.nn.kernels import peephole_lstm as kernels

            cells, states = kernels.forward(gates, W, peepholes)
            ctx.save_for_backward(gates, W, peepholes, cells, None, states)
            return states[1:]
        T, B, H = len(gates), gates.shape[1], W.shape[1]
        i, f, g, o = gates.chunk(4, dim=2)
        i_and_f = gates[:, :, : 2 * H].unflatten(2, (2, H))
        cells = gates.new_zeros(T + 1, B, H)  # from c₀
        states = gates.new_zeros(T + 1, B, H)  # from s₀
        squashed = gates.new_empty(T, B, H)  # tanh(c)
        for t in range(T):
            gates[t].addmm_(states[t], W.t())
            i_and_f[t].addcmul_(cells[t, :, None], peepholes[:2]).sigmoid_()
            g[t].tanh_()
            cell = torch.mul(f[t], cells[t], out=cells[t + 1]).addcmul_(i[t], g[t])
            o[t].addcmul_(cell, peepholes[2]).sigmoid_()
            torch.mul(o[t], torch.tanh(cell, out=squashed[t]), out=states[t + 1])
        ctx.save_for_backward(gates, W, peepholes, cells, squashed, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates, W, peepholes, cells, squashed, states = ctx.saved_tensors
        if squashed is None:
            from unroll.nn.kernels import peephole_lstm as kernels

            d_gates, d_peepholes = kernels.backward(gates, W, peepholes, cells, d_states)
        else:
            d_gates, d_peepholes = _gradients(gates, W, peepholes, cells, squashed, d_states)
        d_W = d_gates.flatten(0, 1).t() @ states[:-1].flatten(0, 1)
        return d_gates, d_W, d_peepholes


def _gradients(
    gates: Tensor, W: Tensor, peepholes: Tensor, cells: Tensor, squashed: Tensor, d_states: Tensor
) -> tuple[Tensor, Tensor]:
    """Of the arguments of the gates and of the peepholes.

    Computes for all steps at once what does not depend on later steps; the loop does the rest.
    """
    H = W.shape[1]
    i, f, g, o = gates.chunk(4, dim=2)
    d_gates = torch.empty_like(gates)  # at first ∂c/∂i, ∂c/∂f, ∂c/∂g, ∂s/∂o, by the arguments of σ and tanh
    d_i, d_f, d_g, d_o = d_gates.chunk(4, dim=2)
    sigmoid_slope(g, i, grad_input=d_i)
    sigmoid_slope(cells[:-1], f, grad_input=d_f)
    tanh_slope(i, g, grad_input=d_g)
    sigmoid_slope(squashed, o, grad_input=d_o)
    to_cell = tanh_slope(o, squashed).addcmul_(d_o, peepholes[2])  # dsᵢ/dcᵢ
    to_previous = torch.addcmul(f, d_i, peepholes[0]).addcmul_(d_f, peepholes[1])  # ∂cᵢ/∂cᵢ₋₁

    d_ifg = d_gates[:, :, : 3 * H].unflatten(2, (3, H))
    d_state, d_cell = cells.new_zeros(2, *cells.shape[1:])
    for t in reversed(range(len(gates))):
        d_state += d_states[t]
        d_o[t].mul_(d_state)
        d_cell.addcmul_(d_state, to_cell[t])
        d_ifg[t].mul_(d_cell[:, None])
        d_cell *= to_previous[t]
        torch.mm(d_gates[t], W, out=d_state)

    seen = zip((d_i, d_f, d_o), (cells[:-1], cells[:-1], cells[1:]), strict=True)
    return d_gates, torch.stack([(d * cell).sum(dim=(0, 1)) for d, cell in seen])
