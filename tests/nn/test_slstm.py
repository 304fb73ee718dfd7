from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from unroll.nn.slstm import SLSTM, ForgetGate

FORGET_GATES = get_args(ForgetGate)
each_forget_gate = pytest.mark.parametrize("forget_gate", FORGET_GATES)
sizes = st.integers(1, 4)


def make(input_size: int, hidden_size: int, num_heads: int, forget_gate: ForgetGate, seed: int = 0) -> SLSTM:
    """In float64, with recurrent weights and biases that are not zero."""
    torch.manual_seed(seed)
    cell = SLSTM(input_size, hidden_size, num_heads, forget_gate).double()
    nn.init.normal_(cell.recurrent_weight)
    with torch.no_grad():
        cell.bias += torch.randn_like(cell.bias)
    return cell


def sigmoid(z: float) -> float:
    return 1 / (1 + np.exp(-z))


def expected_states(x: np.ndarray, cell: SLSTM) -> np.ndarray:
    """The paper's equations without its stabiliser: sequence by sequence, step by step, unit by unit."""
    U, W, b = (parameter.detach().numpy() for parameter in cell.parameters())
    heads, size, _ = W.shape
    forget = sigmoid if cell.forget_gate == "sigmoid" else np.exp
    states = np.zeros((len(x), x.shape[1], heads * size))
    for m, sequence in enumerate(x):
        for head in range(heads):
            rows = U[head * 4 * size : (head + 1) * 4 * size]  # of this head's z, i, f, o
            s, c, n = np.zeros(size), np.zeros(size), np.zeros(size)
            for t, inputs in enumerate(sequence):
                a = (rows @ inputs + W[head].T @ s).reshape(4, size) + b[head]
                for k in range(size):
                    i, f = np.exp(a[1, k]), forget(a[2, k])
                    c[k] = f * c[k] + i * np.tanh(a[0, k])
                    n[k] = f * n[k] + i
                    s[k] = sigmoid(a[3, k]) * c[k] / n[k]
                states[m, t, head * size : (head + 1) * size] = s
    return states


@each_forget_gate
@settings(max_examples=25, deadline=None)
@given(batch=sizes, steps=st.integers(1, 12), input_size=sizes, head_size=sizes, num_heads=sizes, seed=sizes)
def test_states_follow_the_unstabilised_equations_step_by_step(
    forget_gate: ForgetGate, batch: int, steps: int, input_size: int, head_size: int, num_heads: int, seed: int
) -> None:
    cell = make(input_size, num_heads * head_size, num_heads, forget_gate, seed)
    x = torch.randn(batch, steps, input_size, dtype=torch.float64)
    np.testing.assert_allclose(cell(x).detach(), expected_states(x.numpy(), cell), atol=1e-10)


@each_forget_gate
@pytest.mark.parametrize("num_heads", [1, 2])
def test_gradients_equal_finite_differences(forget_gate: ForgetGate, num_heads: int) -> None:
    cell = make(2, 4, num_heads, forget_gate)
    names = [name for name, _ in cell.named_parameters()]
    x = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)

    def states(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(cell, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(states, (x, *cell.parameters()))


@each_forget_gate
def test_long_sequences_in_float32_equal_those_in_float64(forget_gate: ForgetGate) -> None:
    cell = make(3, 8, 2, forget_gate)
    x = torch.randn(2, 4000, 3, dtype=torch.float64)
    expected = cell(x).detach()

    x = x.float().requires_grad_()
    states = cell.float()(x)
    states[:, -1].sum().backward()

    torch.testing.assert_close(states.double(), expected, rtol=0, atol=1e-3)
    assert x.grad is not None and x.grad.isfinite().all()


@each_forget_gate
@pytest.mark.parametrize("scale", [1e3, 1e6, 1e30])
def test_extreme_inputs_give_finite_states_and_gradients(forget_gate: ForgetGate, scale: float) -> None:
    cell = make(3, 8, 2, forget_gate).float()
    x = (scale * torch.randn(4, 50, 3)).requires_grad_()
    states = cell(x)
    states.sum().backward()
    assert (states.abs() <= 1).all()
    assert all(t.grad is not None and t.grad.isfinite().all() for t in (x, *cell.parameters()))


def test_an_overwhelming_input_gate_erases_what_was_before() -> None:
    cell = SLSTM(3, 1).double()  # the inputs are z̃, ĩ and õ themselves
    with torch.no_grad():
        cell.input_weight.copy_(torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]))
    x = torch.tensor([[[2.0, 5.0, 0.0], [-1.0, 3000.0, 0.0], [2.0, 1.0, 0.0]]], dtype=torch.float64)
    expected = 0.5 * np.tanh([2, -1, -1])  # half open; then the second input, and nothing counts beside it
    np.testing.assert_allclose(cell(x).detach().flatten(), expected, atol=1e-12)


def test_outputs_do_not_depend_on_later_inputs() -> None:
    cell = make(3, 6, 2, "sigmoid")
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[:, :4], cell(x[:, :4]))


@each_forget_gate
def test_autocast_shortens_the_input_products_alone(forget_gate: ForgetGate) -> None:
    cell = make(8, 8, 2, forget_gate).float()
    nn.init.normal_(cell.recurrent_weight, std=0.3)
    x = torch.randn(4, 20, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = cell(x)
        states.square().sum().backward()
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, cell(x), rtol=0, atol=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cell.parameters())


@each_forget_gate
def test_each_head_starts_with_forget_gates_from_half_open_to_almost_open(forget_gate: ForgetGate) -> None:
    cell = SLSTM(3, 6, 2, forget_gate)
    assert not cell.recurrent_weight.any()
    z, i, f, o = cell.bias.detach().unbind(dim=1)  # (heads, H / heads) each
    assert not z.any() and not i.any() and not o.any()
    kept = f.sigmoid() if forget_gate == "sigmoid" else f.exp()
    torch.testing.assert_close(kept, torch.tensor([0, 2.5, 5]).sigmoid().expand(2, 3))


@pytest.mark.parametrize("num_heads", [0, -2, 4])
def test_heads_that_do_not_divide_the_hidden_size_are_refused(num_heads: int) -> None:
    with pytest.raises(ValueError, match=f"num_heads={num_heads}; accepted: a divisor of hidden_size=6"):
        SLSTM(3, 6, num_heads)


def test_an_unknown_forget_gate_is_refused() -> None:
    with pytest.raises(ValueError, match="forget_gate='softmax'; accepted: sigmoid, exponential"):
        SLSTM(3, 6, forget_gate="softmax")  # type: ignore[arg-type]
