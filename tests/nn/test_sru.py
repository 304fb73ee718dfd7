import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from unroll.nn.sru import SRU

sizes = st.integers(1, 5)


def example(batch: int, steps: int, input_size: int, hidden_size: int) -> tuple[SRU, Tensor]:
    """A cell with no weight at its starting value, and inputs."""
    torch.manual_seed(0)
    cell = SRU(input_size, hidden_size).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter)
    return cell, torch.randn(batch, steps, input_size, dtype=torch.float64)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def step_by_step(cell: SRU, x: np.ndarray) -> np.ndarray:
    v_f, v_r = cell.peephole.detach().numpy()
    b_f, b_r = np.split(cell.bias.detach().numpy(), 2)
    U, U_f, U_r, *U_highway = cell.input_weight.detach().numpy().reshape(-1, len(v_f), x.shape[2])
    states = np.zeros((*x.shape[:2], len(v_f)))
    for row in range(len(x)):
        c = np.zeros(len(v_f))
        for step in range(x.shape[1]):
            x_i = x[row, step]
            f = sigmoid(U_f @ x_i + v_f * c + b_f)
            r = sigmoid(U_r @ x_i + v_r * c + b_r)
            c = f * c + (1 - f) * (U @ x_i)
            highway = U_highway[0] @ x_i if U_highway else x_i
            states[row, step] = r * c + (1 - r) * 3**0.5 * highway
    return states


@given(batch=sizes, steps=st.integers(1, 12), input_size=sizes, hidden_size=sizes)
def test_states_follow_the_equations_step_by_step(batch: int, steps: int, input_size: int, hidden_size: int) -> None:
    cell, x = example(batch, steps, input_size, hidden_size)
    np.testing.assert_allclose(cell(x).detach(), step_by_step(cell, x.numpy()), rtol=0, atol=1e-10)


@pytest.mark.parametrize("input_size", [3, 4])
def test_gradients_are_those_of_finite_differences(input_size: int) -> None:
    cell, x = example(2, 6, input_size, 4)
    assert torch.autograd.gradcheck(lambda x, *_: cell(x), (x.requires_grad_(), *cell.parameters()))


def test_a_state_does_not_depend_on_later_inputs() -> None:
    cell, x = example(2, 20, 3, 4)
    torch.testing.assert_close(cell(x)[:, :7], cell(x[:, :7]))


def test_training_under_autocast_stays_finite() -> None:
    torch.manual_seed(0)
    cell = SRU(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = cell(torch.randn(2, 300, 8))
    states.square().mean().backward()
    assert states.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())


def test_no_value_is_needed_on_the_host() -> None:
    """The meta device has none, as a GPU has none without waiting."""
    states = SRU(3, 4).to("meta")(torch.empty(2, 20, 3, device="meta"))
    states.sum().backward()
    assert states.shape == (2, 20, 4)


@pytest.mark.parametrize(("input_size", "weights"), [(4, 3), (3, 4)])
def test_the_highway_has_a_weight_where_the_sizes_differ(input_size: int, weights: int) -> None:
    assert SRU(input_size, 4).input_weight.shape == (weights * 4, input_size)


def test_weights_start_with_the_variances_of_the_paper() -> None:
    torch.manual_seed(0)
    cell = SRU(300, 400)
    variances = [300 * weight.var().item() for weight in cell.input_weight.chunk(4)]
    assert variances == pytest.approx([1, 0.5, 0.5, 1], rel=0.05)
    assert cell.peephole.var().item() == pytest.approx(0.5, rel=0.1)


def test_at_the_start_the_forget_gate_remembers() -> None:
    torch.manual_seed(0)
    bias = SRU(3, 1000).bias.detach()
    assert 0 <= bias[:1000].min() < bias[:1000].max() <= np.log(64) + 1e-6
    assert not bias[1000:].any()
