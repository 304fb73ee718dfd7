import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from unroll.nn.min_lstm import MinLSTM

sizes = st.integers(1, 5)


def example(batch: int, steps: int, input_size: int, hidden_size: int) -> tuple[MinLSTM, Tensor]:
    """A cell with no weight at its starting value, and inputs."""
    torch.manual_seed(0)
    cell = MinLSTM(input_size, hidden_size).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter)
    return cell, torch.randn(batch, steps, input_size, dtype=torch.float64)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def step_by_step(cell: MinLSTM, x: np.ndarray) -> np.ndarray:
    U_f, U_i, U_h = np.split(cell.input.weight.detach().numpy(), 3)
    b_f, b_i, b_h = np.split(cell.input.bias.detach().numpy(), 3)
    states = np.zeros((*x.shape[:2], len(b_f)))
    for row in range(len(x)):
        state = np.zeros(len(b_f))
        for step in range(x.shape[1]):
            f = sigmoid(U_f @ x[row, step] + b_f)
            i = sigmoid(U_i @ x[row, step] + b_i)
            state = f / (f + i) * state + i / (f + i) * (U_h @ x[row, step] + b_h)
            states[row, step] = state
    return states


@given(batch=sizes, steps=st.integers(1, 12), input_size=sizes, hidden_size=sizes)
def test_states_follow_the_equations_step_by_step(batch: int, steps: int, input_size: int, hidden_size: int) -> None:
    cell, x = example(batch, steps, input_size, hidden_size)
    np.testing.assert_allclose(cell(x).detach(), step_by_step(cell, x.numpy()), rtol=0, atol=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    cell, x = example(2, 6, 3, 4)
    assert torch.autograd.gradcheck(lambda x, *_: cell(x), (x.requires_grad_(), *cell.parameters()))


def test_a_state_does_not_depend_on_later_inputs() -> None:
    cell, x = example(2, 20, 3, 4)
    torch.testing.assert_close(cell(x)[:, :7], cell(x[:, :7]))


def test_training_under_autocast_stays_finite() -> None:
    torch.manual_seed(0)
    cell = MinLSTM(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = cell(torch.randn(2, 300, 8))
    states.square().mean().backward()
    assert states.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())


def test_no_value_is_needed_on_the_host() -> None:
    """The meta device has none, as a GPU has none without waiting."""
    states = MinLSTM(3, 4).to("meta")(torch.empty(2, 20, 3, device="meta"))
    states.sum().backward()
    assert states.shape == (2, 20, 4)


def test_two_gates_that_are_both_shut_still_share() -> None:
    """f / (f + i) would be 0 / 0 in single precision."""
    cell = MinLSTM(1, 1)
    with torch.no_grad():
        cell.input.weight.zero_()
        cell.input.bias.copy_(torch.tensor([-200.0, -200.0, 1.0]))
    torch.testing.assert_close(cell(torch.zeros(1, 2, 1)).flatten(), torch.tensor([0.5, 0.75]))


def test_at_the_start_memories_are_one_to_sixty_four_steps_long() -> None:
    """The share 1 / (m + 1) of a first input is taken."""
    torch.manual_seed(0)
    cell = MinLSTM(3, 1000)
    with torch.no_grad():
        cell.input.bias[2000:] = 1  # a candidate of one at every step
    steps = 1 / cell(torch.zeros(1, 1, 3)) - 1
    assert 1 <= steps.min() < 2
    assert 63 < steps.max() < 64.01
