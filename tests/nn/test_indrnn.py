import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from unroll.nn.indrnn import IndRNN

sizes = st.integers(1, 5)


def make(input_size: int, hidden_size: int, seed: int = 0) -> IndRNN:
    """In float64, with a bias that is not zero, and recurrent weights of both signs."""
    torch.manual_seed(seed)
    cell = IndRNN(input_size, hidden_size).double()
    nn.init.normal_(cell.bias)
    nn.init.uniform_(cell.recurrent_weight, -0.99, 0.99)
    return cell


def expected_states(x: np.ndarray, cell: IndRNN) -> np.ndarray:
    """Sequence by sequence, step by step, unit by unit."""
    U, w, b = (parameter.detach().numpy() for parameter in cell.parameters())
    states = np.zeros((len(x), x.shape[1], len(w)))
    for n, sequence in enumerate(x):
        for k in range(len(w)):
            s = 0.0
            for t, inputs in enumerate(sequence):
                s = max(0.0, U[k] @ inputs + w[k] * s + b[k])
                states[n, t, k] = s
    return states


def recurrent_gradient(cell: IndRNN, x: Tensor, d_states: Tensor) -> Tensor:
    return torch.autograd.grad(cell(x), cell.recurrent_weight, d_states)[0]


@settings(max_examples=25, deadline=None)
@given(batch=sizes, steps=sizes, input_size=sizes, hidden_size=sizes, seed=st.integers(0, 1000))
def test_states_follow_the_equation_step_by_step(
    batch: int, steps: int, input_size: int, hidden_size: int, seed: int
) -> None:
    cell = make(input_size, hidden_size, seed)
    x = torch.randn(batch, steps, input_size, dtype=torch.float64)
    np.testing.assert_allclose(cell(x).detach(), expected_states(x.numpy(), cell), atol=1e-10)


@pytest.mark.parametrize("steps", [1, 6])
def test_gradients_equal_finite_differences(steps: int) -> None:
    cell = make(2, 4)
    names = [name for name, _ in cell.named_parameters()]
    x = torch.randn(3, steps, 2, dtype=torch.float64, requires_grad=True)

    def states(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(cell, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(states, (x, *cell.parameters()))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_weight_beyond_the_bound_acts_as_the_bound(sign: int) -> None:
    cell, bounded = make(2, 4), make(2, 4)
    nn.init.constant_(cell.recurrent_weight, sign * 1.5)
    nn.init.constant_(bounded.recurrent_weight, sign)
    x = torch.randn(3, 6, 2, dtype=torch.float64)
    torch.testing.assert_close(cell(x), bounded(x), rtol=0, atol=0)


@pytest.mark.parametrize("sign", [1, -1])
def test_beyond_the_bound_the_gradient_leads_back_or_nowhere(sign: int) -> None:
    cell = make(2, 4)
    nn.init.constant_(cell.bias, 3)  # so that all units are active
    x = torch.randn(3, 6, 2, dtype=torch.float64)
    upwards = torch.ones(3, 6, 4, dtype=torch.float64)
    nn.init.constant_(cell.recurrent_weight, sign)
    at_the_bound = recurrent_gradient(cell, x, upwards)
    assert at_the_bound.all()

    nn.init.constant_(cell.recurrent_weight, sign * 1.5)
    gradients = recurrent_gradient(cell, x, upwards), recurrent_gradient(cell, x, -upwards)

    back, away = gradients if sign == 1 else reversed(gradients)  # descent lowers a weight of positive gradient
    torch.testing.assert_close(back, sign * at_the_bound)
    assert not away.any()


def test_states_stay_finite_on_a_long_sequence_whatever_the_weight() -> None:
    cell = make(2, 4).float()
    nn.init.constant_(cell.recurrent_weight, 1.1)
    assert cell(torch.ones(1, 5000, 2)).isfinite().all()


def test_outputs_do_not_depend_on_later_inputs() -> None:
    cell = make(3, 5)
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[:, :4], cell(x[:, :4]))


def test_autocast_shortens_the_input_products_alone() -> None:
    cell = make(8, 8).float()
    x = torch.randn(4, 20, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = cell(x)
        states.square().sum().backward()
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, cell(x), rtol=0.02, atol=0.1)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cell.parameters())


def test_the_recurrent_weights_start_anywhere_between_no_memory_and_endless_memory() -> None:
    torch.manual_seed(0)
    weight = IndRNN(2, 1000).recurrent_weight.detach()
    assert weight.min() >= 0 and weight.max() <= 1
    np.testing.assert_allclose(np.quantile(weight, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.05)
