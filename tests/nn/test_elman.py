from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from unroll.nn.elman import Activation, Elman

ACTIVATIONS = get_args(Activation)
NUMPY = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}
sizes = st.integers(1, 6)


def make(activation: Activation, input_size: int, hidden_size: int, seed: int = 0) -> Elman:
    """In float64, and with a bias, which starts as zero."""
    torch.manual_seed(seed)
    cell = Elman(input_size, hidden_size, activation).double()
    nn.init.normal_(cell.bias)
    return cell


@pytest.mark.parametrize("activation", ACTIVATIONS)
@settings(max_examples=25, deadline=None)
@given(batch=sizes, steps=sizes, input_size=sizes, hidden_size=sizes, seed=st.integers(0, 1000))
def test_states_follow_the_equation_step_by_step(
    activation: Activation, batch: int, steps: int, input_size: int, hidden_size: int, seed: int
) -> None:
    cell = make(activation, input_size, hidden_size, seed)
    x = torch.randn(batch, steps, input_size, dtype=torch.float64)
    U, W, b = (p.detach().numpy() for p in (cell.input_weight, cell.recurrent_weight, cell.bias))
    state = np.zeros((batch, hidden_size))
    expected = []
    for step in range(steps):
        state = NUMPY[activation](x[:, step].numpy() @ U.T + state @ W.T + b)
        expected.append(state)

    states = cell(x)

    np.testing.assert_allclose(states.detach(), np.stack(expected, axis=1), atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_states_equal_those_of_torch(activation: Activation) -> None:
    cell = make(activation, 4, 5)
    reference = nn.RNN(4, 5, nonlinearity=activation, batch_first=True).double()
    with torch.no_grad():
        reference.weight_ih_l0.copy_(cell.input_weight)
        reference.weight_hh_l0.copy_(cell.recurrent_weight)
        reference.bias_ih_l0.copy_(cell.bias)
        reference.bias_hh_l0.zero_()
    x = torch.randn(3, 7, 4, dtype=torch.float64)

    torch.testing.assert_close(cell(x), reference(x)[0])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_equal_finite_differences(activation: Activation) -> None:
    cell = make(activation, 2, 3)
    names = [name for name, _ in cell.named_parameters()]
    x = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)

    def states(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(cell, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(states, (x, *cell.parameters()))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_do_not_depend_on_later_inputs(activation: Activation) -> None:
    cell = make(activation, 3, 5)
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[:, :4], cell(x[:, :4]))


def test_the_recurrent_weight_starts_orthogonal_and_the_bias_zero() -> None:
    cell = Elman(3, 6)
    torch.testing.assert_close(cell.recurrent_weight @ cell.recurrent_weight.T, torch.eye(6))
    assert not cell.bias.any()


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"activation='softmax'; accepted: sigmoid, tanh, relu"):
        Elman(2, 3, "softmax")  # type: ignore[arg-type]
