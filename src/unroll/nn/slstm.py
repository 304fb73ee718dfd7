"""The scalar LSTM with exponential gates (xLSTM, Beck et al. 2024)."""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unroll.checks import check_choice
from unroll.nn.gates import project_steps, sigmoid_slope, tanh_slope
from unroll.nn.kernels import has_recurrent_kernels

ForgetGate = Literal["sigmoid", "exponential"]


class SLSTM(nn.Module):
    """A gated weighted mean of the past inputs.

    cᵢ = f cᵢ₋₁ + i z, nᵢ = f nᵢ₋₁ + i, sᵢ = o cᵢ / nᵢ, where z = tanh(z̃), i = exp(ĩ), o = σ(õ), f = σ(f̃) or exp(f̃),
    and each of z̃, ĩ, f̃, õ is U xᵢ + W sᵢ₋₁ + b with its own U, W and b.

    c and n overflow. The paper divides both by a running maximum; here the same sᵢ is computed from the mean
    hᵢ = cᵢ / nᵢ and from log nᵢ, which do not overflow. In this mean the new input has the weight α = i / nᵢ, hence

    rᵢ = log f + log nᵢ₋₁, α = σ(ĩ - rᵢ), hᵢ = (1 - α) hᵢ₋₁ + α z, log nᵢ = log(exp(ĩ) + exp(rᵢ)), sᵢ = o hᵢ.

    W is block-diagonal: a unit depends on the states of its own head, one of `num_heads`. As in the authors' code W is
    initialised to zero, and the biases of the forget gates of each head give half-lives from one step to a hundred.
    This is the cell alone; the paper's block adds a convolution before it, and a normalisation and a projection after.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_heads: int = 1, forget_gate: ForgetGate = "sigmoid"
    ) -> None:
        super().__init__()
        if num_heads < 1 or hidden_size % num_heads:
            raise ValueError(f"num_heads={num_heads}; accepted: a divisor of hidden_size={hidden_size}")
        check_choice("forget_gate", forget_gate, get_args(ForgetGate))
        self.forget_gate = forget_gate
        head_size = hidden_size // num_heads
        # Rows of U: z, i, f, o of the first head, then of the next. W is used as s W, one product per head.
        self.input_weight = nn.Parameter(torch.empty(4 * hidden_size, input_size))  # U
        self.recurrent_weight = nn.Parameter(torch.zeros(num_heads, head_size, 4 * head_size))  # W
        self.bias = nn.Parameter(torch.zeros(num_heads, 4, head_size))  # b
        for block in self.input_weight.chunk(4 * num_heads):
            nn.init.xavier_uniform_(block)
        spread = torch.linspace(0, 5, head_size)
        with torch.no_grad():
            self.bias[:, 2] = spread if forget_gate == "sigmoid" else F.logsigmoid(spread)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, I) → states (B, T, H)."""
        inputs = project_steps(x, self.input_weight, self.bias.flatten())  # (T, B, 4H)
        gates = inputs.unflatten(2, self.bias.shape)  # (T, B, heads, 4, H / heads)
        states = SLSTMLoop.apply(gates, self.recurrent_weight, self.forget_gate == "sigmoid")
        return states.flatten(2).transpose(0, 1)


class SLSTMLoop(torch.autograd.Function):
    """The loop over time, in place, with an explicit gradient, faster than recording every step for autograd."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, W: Tensor, sigmoid_forget: bool) -> Tensor:
        """gates: (T, B, heads, 4, H / heads), U xᵢ + b, set to z, α, f̃, o → states (T, B, heads, H / heads)."""
        ctx.sigmoid_forget = sigmoid_forget
        ctx.has_kernels = has_recurrent_kernels(gates, W.shape[1], heads=len(W))
        if ctx.has_kernels:
            from unroll.nn.kernels import slstm as kernels

            means, states = kernels.forward(gates, W, sigmoid_forget)
            ctx.save_for_backward(gates, W, means, states)
            return states[1:]
        z, i, f, o = gates.unbind(dim=3)
        products = gates.flatten(3).transpose(1, 2)  # (T, heads, B, 4H / heads)
        means = z.new_zeros(len(z) + 1, *z.shape[1:])  # from h₀
        states = torch.zeros_like(means)  # from s₀
        log_n = torch.full_like(means[0], -torch.inf)
        for t in range(len(gates)):
            products[t].baddbmm_(states[t].transpose(0, 1), W)
            r = (F.logsigmoid(f[t]) if sigmoid_forget else f[t]) + log_n
            torch.logaddexp(i[t], r, out=log_n)
            share = i[t].sub_(r).sigmoid_()  # α
            torch.lerp(means[t], z[t].tanh_(), share, out=means[t + 1])
            torch.mul(o[t].sigmoid_(), means[t + 1], out=states[t + 1])
        ctx.save_for_backward(gates, W, means, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor, None]:
        gates, W, means, states = ctx.saved_tensors
        if ctx.has_kernels:
            from unroll.nn.kernels import slstm as kernels

            d_gates = kernels.backward(gates, W, means, d_states, ctx.sigmoid_forget)
        else:
            d_gates = _gradients(gates, W, means, d_states, ctx.sigmoid_forget)
        d_W = torch.einsum("nhi,nhj->hij", states[:-1].flatten(0, 1), d_gates.flatten(3).flatten(0, 1))
        return d_gates, d_W, None


def _gradients(gates: Tensor, W: Tensor, means: Tensor, d_states: Tensor, sigmoid_forget: bool) -> Tensor:
    """Of the arguments of the gates.

    Computes for all steps at once what does not depend on later steps; the loop does the rest.
    """
    z, share, f, o = gates.unbind(dim=3)
    d_gates = torch.empty_like(gates)  # at first ∂h/∂z̃, ∂h/∂(ĩ - r), ∂r/∂f̃, ∂s/∂õ
    d_z, d_i, d_f, d_o = d_gates.unbind(dim=3)
    tanh_slope(share, z, grad_input=d_z)
    sigmoid_slope(z - means[:-1], share, grad_input=d_i)
    d_f.fill_(1)
    if sigmoid_forget:
        d_f -= f.sigmoid()
    sigmoid_slope(means[1:], o, grad_input=d_o)
    kept = 1 - share

    products = d_gates.flatten(3).transpose(1, 2)  # (T, heads, B, 4H / heads)
    d_state, d_mean, d_log_n = means.new_zeros(3, *means.shape[1:])
    for t in reversed(range(len(gates))):
        d_state += d_states[t]
        d_o[t].mul_(d_state)
        d_mean.addcmul_(d_state, o[t])
        d_z[t].mul_(d_mean)
        d_i[t].mul_(d_mean).addcmul_(d_log_n, share[t])
        d_log_n -= d_i[t]  # α depends on ĩ - r, and ∂ log n is split between ĩ and r: now ∂r = ∂ log nᵢ₋₁
        d_f[t].mul_(d_log_n)
        d_mean *= kept[t]
        torch.bmm(products[t], W.transpose(1, 2), out=d_state.transpose(0, 1))
    return d_gates
