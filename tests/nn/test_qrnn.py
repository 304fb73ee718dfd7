import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from unroll.nn.qrnn import QRNN

sizes = st.integers(1, 5)


def example(batch: int, steps: int, input_size: int, hidden_size: int, window: int = 2) -> tuple[QRNN, Tensor]:
    """A cell with no weight at its starting value, and inputs."""
    torch.manual_seed(0)
    cell = QRNN(input_size, hidden_size, window).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter)
    return cell, torch.randn(batch, steps, input_size, dtype=torch.float64)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def step_by_step(cell: QRNN, x: np.ndarray) -> np.ndarray:
    U_f, U_z, U_o = np.split(cell.input.weight.detach().numpy(), 3)
    b_f, b_z, b_o = np.split(cell.input.bias.detach().numpy(), 3)
    states = np.zeros((*x.shape[:2], len(b_f)))
    for row in range(len(x)):
        memory = np.zeros(len(b_f))
        for step in range(x.shape[1]):
            places = range(step - cell.window + 1, step + 1)
            X = np.concatenate([x[row, place] if place >= 0 else np.zeros(x.shape[2]) for place in places])
            f = sigmoid(U_f @ X + b_f)
            memory = f * memory + (1 - f) * np.tanh(U_z @ X + b_z)
            states[row, step] = sigmoid(U_o @ X + b_o) * memory
    return states


@given(batch=sizes, steps=st.integers(1, 12), input_size=sizes, hidden_size=sizes, window=sizes)
def test_states_follow_the_equations_step_by_step(
    batch: int, steps: int, input_size: int, hidden_size: int, window: int
) -> None:
    cell, x = example(batch, steps, input_size, hidden_size, window)
    np.testing.assert_allclose(cell(x).detach(), step_by_step(cell, x.numpy()), rtol=0, atol=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    cell, x = example(2, 6, 3, 4)
    assert torch.autograd.gradcheck(lambda x, *_: cell(x), (x.requires_grad_(), *cell.parameters()))


def test_a_state_does_not_depend_on_later_inputs() -> None:
    cell, x = example(2, 20, 3, 4)
    torch.testing.assert_close(cell(x)[:, :7], cell(x[:, :7]))


def test_training_under_autocast_stays_finite() -> None:
    torch.manual_seed(0)
    cell = QRNN(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = cell(torch.randn(2, 300, 8))
    states.square().mean().backward()
    assert states.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())


def test_no_value_is_needed_on_the_host() -> None:
    """The meta device has none, as a GPU has none without waiting."""
    states = QRNN(3, 4).to("meta")(torch.empty(2, 20, 3, device="meta"))
    states.sum().backward()
    assert states.shape == (2, 20, 4)


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_below_one_step_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"window={window}; accepted: 1 or more"):
        QRNN(3, 4, window)


def test_at_the_start_the_forget_gate_remembers() -> None:
    torch.manual_seed(0)
    bias = QRNN(3, 1000).input.bias.detach()
    assert 0 <= bias[:1000].min() < bias[:1000].max() <= np.log(64) + 1e-6
    assert not bias[1000:].any()
