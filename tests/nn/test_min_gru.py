import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from unroll.nn.min_gru import MinGRU

sizes = st.integers(1, 5)


def example(batch: int, steps: int, input_size: int, hidden_size: int) -> tuple[MinGRU, Tensor]:
    """A cell with no weight at its starting value, and inputs."""
    torch.manual_seed(0)
    cell = MinGRU(input_size, hidden_size).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter)
    return cell, torch.randn(batch, steps, input_size, dtype=torch.float64)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def step_by_step(cell: MinGRU, x: np.ndarray) -> np.ndarray:
    keep_U, candidate_U = np.split(cell.input.weight.detach().numpy(), 2)
    keep_b, candidate_b = np.split(cell.input.bias.detach().numpy(), 2)
    states = np.zeros((*x.shape[:2], len(keep_b)))
    for row in range(len(x)):
        state = np.zeros(len(keep_b))
        for step in range(x.shape[1]):
            z = 1 - sigmoid(keep_U @ x[row, step] + keep_b)
            state = (1 - z) * state + z * (candidate_U @ x[row, step] + candidate_b)
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
    cell = MinGRU(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = cell(torch.randn(2, 300, 8))
    states.square().mean().backward()
    assert states.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())


def test_no_value_is_needed_on_the_host() -> None:
    """The meta device has none, as a GPU has none without waiting."""
    states = MinGRU(3, 4).to("meta")(torch.empty(2, 20, 3, device="meta"))
    states.sum().backward()
    assert states.shape == (2, 20, 4)


def test_at_the_start_memories_are_one_to_sixty_four_steps_long() -> None:
    """The share 1 / (m + 1) of a first input is taken, and m / (m + 1) of it is left after each step."""
    torch.manual_seed(0)
    cell = MinGRU(3, 1000)
    x = torch.zeros(1, 2, 3)
    with torch.no_grad():
        cell.input.bias[1000:] = 1  # a candidate of one at every step
    first, second = cell(x)[0]
    steps = 1 / first - 1
    assert 1 <= steps.min() < 2
    assert 63 < steps.max() < 64.01
    torch.testing.assert_close(second - first, first * steps / (steps + 1))
