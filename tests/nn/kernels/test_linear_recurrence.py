"""The linear recurrence by its kernel."""

import pytest
import torch
from torch import Tensor

from tests.nn.kernels.launches import record_launches
from unroll.nn.linear_recurrence import linear_recurrence

DTYPES = {torch.float32: 33, torch.complex128: 9}  # and more channels than a block has


def uniform(*shape: int, dtype: torch.dtype) -> Tensor:
    """Of absolute value below 1, so that states do not grow."""
    return (torch.rand(shape, dtype=dtype) - (0.5 + 0.5j if dtype.is_complex else 0.5)).requires_grad_()


def states_and_gradients(decay: Tensor, drive: Tensor, d_states: Tensor) -> list[Tensor]:
    states = linear_recurrence(decay, drive)
    return [states, *torch.autograd.grad(states, [decay, drive], d_states)]


def without_kernels(monkeypatch: pytest.MonkeyPatch, *inputs: Tensor) -> list[Tensor]:
    with monkeypatch.context() as context:
        context.delenv("TRITON_INTERPRET")
        return states_and_gradients(*inputs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ["BTH", "H", "B1H", "1T1", "B11"])
def test_states_and_gradients_are_those_of_the_plain_path(
    dtype: torch.dtype, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    sizes = {"B": 2, "T": 3, "H": DTYPES[dtype], "1": 1}
    decay, drive = (uniform(*(sizes[size] for size in it), dtype=dtype) for it in (shape, "BTH"))
    d_states = torch.randn_like(drive)
    launched = record_launches(monkeypatch)
    found = states_and_gradients(decay, drive, d_states)
    assert launched == ["_forward", "_backward"]
    expected = without_kernels(monkeypatch, decay, drive, d_states)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (3, 1), (1, 5)])
def test_one_step_and_one_sequence(dtype: torch.dtype, batch: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decay, drive = (uniform(batch, steps, 3, dtype=dtype) for _ in range(2))
    inputs = decay, drive, torch.randn_like(drive)
    expected = without_kernels(monkeypatch, *inputs)
    torch.testing.assert_close(states_and_gradients(*inputs), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_and_gradients_need_not_be_contiguous(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    decay, drive = uniform(6, 2, 8, dtype=dtype).transpose(0, 1).chunk(2, dim=2)
    d_states = torch.ones(1, 1, 1, dtype=dtype).expand(2, 6, 4)
    expected = without_kernels(monkeypatch, decay, drive, d_states)
    torch.testing.assert_close(states_and_gradients(decay, drive, d_states), expected, rtol=1e-5, atol=1e-5)
    transposed = uniform(2, 3, 6, dtype=dtype).transpose(1, 2)  # the steps are side by side, the channels apart
    inputs = transposed.conj(), transposed, torch.randn_like(transposed)
    expected = without_kernels(monkeypatch, *inputs)
    torch.testing.assert_close(states_and_gradients(*inputs), expected, rtol=1e-5, atol=1e-5)


def test_16_bit_numbers_are_summed_in_float32() -> None:
    """In bfloat16 a sum of ones would stop at 256."""
    ones = torch.ones(1, 260, 1, dtype=torch.bfloat16)
    states = linear_recurrence(ones, ones)
    assert states.dtype == torch.float32
    assert states[0, -1, 0] == 260


def test_a_real_decay_of_complex_states_takes_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    launched = record_launches(monkeypatch)
    drive = uniform(1, 3, 2, dtype=torch.complex64).detach()
    linear_recurrence(torch.ones(2), drive)
    assert not launched
