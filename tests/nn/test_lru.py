import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from unroll.nn.lru import LRU

sizes = st.integers(1, 5)


def example(batch: int, steps: int, input_size: int, hidden_size: int) -> tuple[LRU, Tensor]:
    """A cell with no weight at its starting value, and inputs."""
    torch.manual_seed(0)
    cell = LRU(input_size, hidden_size).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    return cell, torch.randn(batch, steps, input_size, dtype=torch.float64)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def step_by_step(cell: LRU, x: np.ndarray) -> np.ndarray:
    weights = {name: parameter.detach().numpy() for name, parameter in cell.named_parameters()}
    modulus, phase = np.exp(-np.exp(weights["log_decay"])), np.exp(weights["log_phase"])
    decay = modulus * (np.cos(phase) + 1j * np.sin(phase))
    U = weights["input_weight"][:, 0] + 1j * weights["input_weight"][:, 1]
    C = weights["readout.weight"][:, 0::2] - 1j * weights["readout.weight"][:, 1::2]
    states = np.zeros((*x.shape[:2], len(decay)))
    for row in range(len(x)):
        hidden = np.zeros(len(decay), dtype=complex)
        for step in range(x.shape[1]):
            hidden = decay * hidden + np.exp(weights["log_scale"]) * (U @ x[row, step])
            y = (C @ hidden).real + weights["skip.weight"] @ x[row, step] + weights["readout.bias"]
            states[row, step] = y[: len(decay)] * sigmoid(y[len(decay) :])
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
    cell = LRU(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = cell(torch.randn(2, 300, 8))
    states.square().mean().backward()
    assert states.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())


def test_no_value_is_needed_on_the_host() -> None:
    """The meta device has none, as a GPU has none without waiting."""
    states = LRU(3, 4).to("meta")(torch.empty(2, 20, 3, device="meta"))
    states.sum().backward()
    assert states.shape == (2, 20, 4)


def test_decays_start_on_the_ring() -> None:
    torch.manual_seed(0)
    cell = LRU(3, 1000, r_min=0.4, r_max=0.9, max_phase=1.0)
    radius, phase = torch.exp(-cell.log_decay.exp()), cell.log_phase.exp()
    assert 0.4 <= radius.min() < 0.45
    assert 0.89 < radius.max() <= 0.9
    assert 0 < phase.min() < 0.01
    assert 0.99 < phase.max() <= 1
    inner = (radius**2 < (0.4**2 + 0.9**2) / 2).float().mean()  # half of the area
    assert abs(inner - 0.5) < 0.05


def test_at_the_start_the_hidden_state_is_as_large_as_its_input() -> None:
    torch.manual_seed(0)
    cell = LRU(3, 50, r_max=0.99)
    radius = torch.exp(-cell.log_decay.exp())
    torch.testing.assert_close(cell.log_scale.exp(), (1 - radius**2).sqrt())


@pytest.mark.parametrize("end", [0, 1])
def test_the_outermost_draws_have_finite_gradients(end: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """|λ| = 0 and |λ| = 1 themselves would not."""
    monkeypatch.setattr(Tensor, "uniform_", lambda self, *bounds, **_: self.fill_(bounds[end]))
    cell = LRU(3, 4)
    cell(torch.ones(1, 2, 3)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())


@pytest.mark.parametrize(("r_min", "r_max"), [(-0.1, 0.9), (0.5, 0.5), (0.9, 0.4), (0.5, 1.1), (math.nan, 1)])
def test_a_ring_outside_the_unit_disc_is_refused(r_min: float, r_max: float) -> None:
    with pytest.raises(ValueError, match=f"r_min={r_min}, r_max={r_max}; accepted: 0 <= r_min < r_max <= 1"):
        LRU(3, 4, r_min, r_max)


@pytest.mark.parametrize("max_phase", [0, -1, 6.29, math.nan])
def test_a_phase_beyond_the_circle_is_refused(max_phase: float) -> None:
    with pytest.raises(ValueError, match=f"max_phase={max_phase}; accepted: above 0"):
        LRU(3, 4, max_phase=max_phase)
