"""The cells by their kernels: the same states and gradients as by the plain path."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.nn.kernels.launches import record_launches
from tests.nn.test_cells import make
from unroll.nn import LRU, SLSTM, MinGRU, PeepholeLSTM, RecurrentEncoder

CHANNELS = ["indrnn", "min_gru", "min_lstm", "sru", "sru, equal sizes", "qrnn", "qrnn, window 5", "lru"]
MATRICES = ["peephole_lstm", "slstm, sigmoid", "slstm, exponential", "slstm, sigmoid, 2 heads"]
each_cell = pytest.mark.parametrize("name", CHANNELS + MATRICES)


def states_and_gradients(cell: nn.Module, x: Tensor, d_states: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    states = cell(x)
    return [states, *torch.autograd.grad(states, [x, *cell.parameters()], d_states.to(states.dtype))]


@contextmanager
def plain_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as context:
        context.delenv("TRITON_INTERPRET")
        yield


def check(name: str, batch: int, steps: int, hidden_size: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Compare in float32 with the plain path in float64; return the names of the launched kernels."""
    cell, x = make(name, batch, steps, hidden_size=hidden_size)
    with plain_path():
        d_states = torch.randn_like(cell(x))
        expected = states_and_gradients(cell, x, d_states)
    launched = record_launches(monkeypatch)
    found = states_and_gradients(cell.float(), x.float(), d_states)
    for ours, theirs in zip(found, expected, strict=True):
        scale = theirs.abs().max().item()
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=max(5e-6 * scale, 1e-6))
    return launched


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize(("batch", "steps", "hidden_size"), [(2, 3, 33), (1, 1, 1)])
def test_states_and_gradients_of_independent_channels_take_one_launch_each(
    name: str, batch: int, steps: int, hidden_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """33 channels are more than a block of 32."""
    assert check(name, batch, steps, hidden_size, monkeypatch) == ["_forward", "_backward"]


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize(("batch", "steps", "hidden_size"), [(2, 3, 9), (17, 2, 3), (1, 1, 1)])
def test_programs_that_split_the_units_and_sequences_agree_with_the_plain_path(
    name: str, batch: int, steps: int, hidden_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine units are two blocks, seventeen sequences too. On a GPU all steps are one launch."""
    assert check(name, batch, steps, hidden_size, monkeypatch) == steps * ["_forward"] + steps * ["_backward"]


@pytest.mark.parametrize("name", MATRICES)
def test_programs_of_a_step_do_not_read_what_others_write_in_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU they run in any order: here in the reverse, with the same bits."""
    from triton.runtime import interpreter

    cell, x = make(name, batch=2, steps=2, hidden_size=9)
    cell, x = cell.float(), x.float()
    d_states = torch.ones_like(cell(x))
    expected = states_and_gradients(cell, x, d_states)
    # The interpreter's loops over the programs are range(n), those in a kernel range(start, stop, step).
    monkeypatch.setattr(interpreter, "range", lambda *it: range(*it)[:: -1 if len(it) == 1 else 1], raising=False)
    launched = record_launches(monkeypatch)
    torch.testing.assert_close(states_and_gradients(cell, x, d_states), expected, rtol=0, atol=0)
    assert launched


def test_a_sum_longer_than_a_pass_over_the_slices_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    check("peephole_lstm", 1, 2, 40, monkeypatch)  # 4 · 40 rows of W in the gradient, by 4 slices of 32


@each_cell
def test_autocast_gives_the_plain_path_s_states_in_float32(name: str) -> None:
    """The products are rounded to bfloat16 as in the plain path; states and gates are computed in float32."""
    cell, x = make(name, batch=2, steps=3, hidden_size=4)
    cell, x = cell.float(), x.float()
    found, expected = [], []
    for results, path in ((found, plain_path), (expected, torch.enable_grad)):
        with path(), torch.autocast("cpu", torch.bfloat16):
            results += states_and_gradients(cell, x, torch.ones_like(cell(x)))
    assert found[0].dtype == expected[0].dtype == (torch.bfloat16 if isinstance(cell, LRU) else torch.float32)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        tolerance = 2**-6 * theirs.abs().max().item()  # gradients of the products are rounded to bfloat16
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=0, atol=tolerance)
    if not isinstance(cell, LRU):
        torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["min_gru", "min_lstm", "qrnn", "sru", "sru, equal sizes"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_states_of_16_bit_inputs_are_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    """In 16 bits they would differ by a thousandth."""
    cell, x = make(name, batch=1, steps=3, hidden_size=4)
    cell, x = cell.to(dtype), x.to(dtype)
    states = cell(x)
    with plain_path():
        expected = cell(x)
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["indrnn", "qrnn", "sru, equal sizes", "peephole_lstm", "slstm, sigmoid, 2 heads"])
def test_inputs_and_gradients_need_not_be_contiguous(name: str) -> None:
    cell, x = make(name, batch=3, steps=2, hidden_size=4)
    cell, x = cell.float(), x.float().transpose(0, 1)
    d_states = torch.ones(1, 1, 1).expand(cell(x).shape)
    with plain_path():
        expected = states_and_gradients(cell, x, d_states)
    torch.testing.assert_close(states_and_gradients(cell, x, d_states), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["min_lstm", "qrnn", "sru", "lru", "indrnn", *MATRICES])
def test_float64_loses_no_precision(name: str) -> None:
    cell, x = make(name, batch=1, steps=2)
    with plain_path():
        d_states = torch.randn_like(cell(x))
        expected = states_and_gradients(cell, x, d_states)
    torch.testing.assert_close(states_and_gradients(cell, x, d_states), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", [MinGRU, PeepholeLSTM, SLSTM])
def test_padding_does_not_reach_the_other_steps_of_a_bidirectional_encoder(cell: type[nn.Module]) -> None:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(3, 4, cell, bidirectional=True)
    x, lengths = torch.randn(3, 4, 3), torch.tensor([4, 1, 3])
    outputs, final = encoder(x, lengths)
    with plain_path():
        expected, expected_final = encoder(x, lengths)
    for found, theirs, length in zip(outputs, expected, lengths.tolist(), strict=True):
        torch.testing.assert_close(found[:length], theirs[:length])
    torch.testing.assert_close(final, expected_final)


class NoValueOnTheHost(TorchDispatchMode):
    """Fails on what would wait for a GPU: reading a value, and results whose size depends on values."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        assert function.overloadpacket.__name__ not in ("_local_scalar_dense", "nonzero", "masked_select", "unique_dim")
        return function(*args, **(kwargs or {}))


@each_cell
def test_no_value_is_read_on_the_host(name: str) -> None:
    cell, x = make(name, batch=2, steps=2, hidden_size=4)
    cell, x = cell.float(), x.float().requires_grad_()
    with NoValueOnTheHost():
        cell(x).sum().backward()
        with pytest.raises(AssertionError):
            x.sum().item()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # in NumPy, for exp of a large number
@pytest.mark.parametrize("forget_gate", ["sigmoid", "exponential"])
def test_extreme_inputs_of_the_slstm_give_finite_states_and_gradients(forget_gate: str) -> None:
    torch.manual_seed(0)
    cell = SLSTM(3, 4, 1, forget_gate)
    x = (1e30 * torch.randn(2, 3, 3)).requires_grad_()
    states = cell(x)
    states.sum().backward()
    assert (states.abs() <= 1).all()
    assert all(t.grad is not None and t.grad.isfinite().all() for t in (x, *cell.parameters()))
