import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unroll.nn.gates import initialise_memory
from unroll.nn.linear_recurrence import linear_recurrence

DTYPES = [torch.float64, torch.complex128]
sizes = st.integers(1, 4)


def uniform(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Uniform in (-1, 1), so that states do not grow; both parts of complex numbers in (-1/2, 1/2)."""
    real_shape = (*shape, 2) if dtype.is_complex else shape
    values = 2 * torch.rand(real_shape, dtype=torch.float64) - 1
    return torch.view_as_complex(values) / 2 if dtype.is_complex else values


def step_by_step(decay: Tensor, drive: Tensor) -> Tensor:
    """The recurrence in Python numbers, one state at a time."""
    states = torch.zeros_like(drive)
    decay = decay.expand_as(drive)
    for batch in range(drive.shape[0]):
        for channel in range(drive.shape[2]):
            state = 0.0
            for step in range(drive.shape[1]):
                state = decay[batch, step, channel].item() * state + drive[batch, step, channel].item()
                states[batch, step, channel] = state
    return states


@pytest.mark.parametrize("dtype", DTYPES)
@given(batch=sizes, steps=st.integers(1, 70), channels=sizes)
def test_states_follow_the_equation_step_by_step(dtype: torch.dtype, batch: int, steps: int, channels: int) -> None:
    decay, drive = (uniform(batch, steps, channels, dtype=dtype) for _ in range(2))
    torch.testing.assert_close(linear_recurrence(decay, drive), step_by_step(decay, drive), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (1, 9, 3), (2, 1, 1)])
def test_a_decay_may_broadcast(shape: tuple[int, ...]) -> None:
    decay, drive = uniform(*shape), uniform(2, 9, 3)
    torch.testing.assert_close(linear_recurrence(decay, drive), step_by_step(decay, drive), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 14, 3), (3,), (1, 14, 1)])
def test_gradients_are_those_of_finite_differences(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    decay = uniform(*shape, dtype=dtype).requires_grad_()
    drive = uniform(2, 14, 3, dtype=dtype).requires_grad_()
    assert torch.autograd.gradcheck(linear_recurrence, (decay, drive))


def test_gradients_of_one_step() -> None:
    decay, drive = uniform(2, 1, 3).requires_grad_(), uniform(2, 1, 3).requires_grad_()
    assert torch.autograd.gradcheck(linear_recurrence, (decay, drive))


@pytest.mark.parametrize("steps", [998, 1000, 1001])
def test_many_steps_lose_no_precision(steps: int) -> None:
    """Without decay the states are running sums."""
    drive = torch.rand(2, steps, 3, dtype=torch.float64)
    states = linear_recurrence(torch.ones(3, dtype=torch.float64), drive)
    torch.testing.assert_close(states, drive.cumsum(dim=1), rtol=1e-13, atol=0)


def test_inputs_need_not_be_contiguous() -> None:
    decay, drive = uniform(30, 2, 8).transpose(0, 1).chunk(2, dim=2)
    torch.testing.assert_close(linear_recurrence(decay, drive), step_by_step(decay, drive), rtol=0, atol=1e-12)


def test_16_bit_numbers_are_summed_in_float32() -> None:
    """In bfloat16 a sum of ones would stop at 256."""
    ones = torch.ones(1, 400, 1, dtype=torch.bfloat16)
    states = linear_recurrence(ones, ones)
    assert states.dtype == torch.float32
    assert states[0, -1, 0] == 400


def test_a_forget_gate_starts_with_memories_of_one_to_sixty_four_steps() -> None:
    torch.manual_seed(0)
    bias = torch.empty(10_000)
    initialise_memory(bias)
    steps = bias.exp()
    assert steps.min() >= 1
    assert steps.max() <= 64
    assert abs(steps.mean() - 32.5) < 1
