"""Properties that every cell has, and the equations of each cell as a plain loop over the steps."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from unroll.nn import GRU, LRU, LSTM, QRNN, SLSTM, SRU, Elman, IndRNN, MinGRU, MinLSTM, PeepholeLSTM

# The equations. Each function yields the state (B, H) of every step of x (B, T, I).


def elman(cell: Elman, x: Tensor) -> Iterator[Tensor]:
    U, W, b = cell.input_weight, cell.recurrent_weight, cell.bias
    activation = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[cell.activation]
    s = x.new_zeros(len(x), len(b))
    for x_i in x.unbind(1):
        s = activation(x_i @ U.T + s @ W.T + b)
        yield s


def lstm(cell: LSTM, x: Tensor) -> Iterator[Tensor]:
    U, W, b, b2 = cell.loop.all_weights[0]
    s = c = x.new_zeros(len(x), W.shape[1])
    for x_i in x.unbind(1):
        i, f, g, o = (x_i @ U.T + b + s @ W.T + b2).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        s = o.sigmoid() * c.tanh()
        yield s


def gru(cell: GRU, x: Tensor) -> Iterator[Tensor]:
    (U_r, U_z, U_n), (W_r, W_z, W_n), (b_r, b_z, b_n), (d_r, d_z, d_n) = (p.chunk(3) for p in cell.loop.all_weights[0])
    s = x.new_zeros(len(x), len(b_r))
    for x_i in x.unbind(1):
        r = torch.sigmoid(x_i @ U_r.T + b_r + s @ W_r.T + d_r)
        z = torch.sigmoid(x_i @ U_z.T + b_z + s @ W_z.T + d_z)
        n = torch.tanh(x_i @ U_n.T + b_n + r * (s @ W_n.T + d_n))
        s = (1 - z) * n + z * s
        yield s


def peephole_lstm(cell: PeepholeLSTM, x: Tensor) -> Iterator[Tensor]:
    p_i, p_f, p_o = cell.peepholes
    s = c = x.new_zeros(len(x), len(p_i))
    for x_i in x.unbind(1):
        i, f, g, o = (x_i @ cell.input_weight.T + s @ cell.recurrent_weight.T + cell.bias).chunk(4, dim=1)
        c = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * g.tanh()
        s = torch.sigmoid(o + p_o * c) * c.tanh()
        yield s


def slstm(cell: SLSTM, x: Tensor) -> Iterator[Tensor]:
    """The equations without stabilisation, for each head."""
    forget = torch.sigmoid if cell.forget_gate == "sigmoid" else torch.exp
    heads = list(zip(cell.input_weight.chunk(len(cell.bias)), cell.recurrent_weight, cell.bias, strict=True))
    s = [x.new_zeros(len(x), cell.bias.shape[2]) for _ in heads]
    c, n = list(s), list(s)
    for x_i in x.unbind(1):
        for k, (U, W, b) in enumerate(heads):
            z, i, f, o = (x_i @ U.T + s[k] @ W + b.flatten()).chunk(4, dim=1)
            c[k] = forget(f) * c[k] + i.exp() * z.tanh()
            n[k] = forget(f) * n[k] + i.exp()
            s[k] = o.sigmoid() * c[k] / n[k]
        yield torch.cat(s, dim=1)


def indrnn(cell: IndRNN, x: Tensor) -> Iterator[Tensor]:
    s = x.new_zeros(len(x), len(cell.bias))
    for x_i in x.unbind(1):
        s = torch.relu(x_i @ cell.input_weight.T + cell.recurrent_weight * s + cell.bias)
        yield s


def min_gru(cell: MinGRU, x: Tensor) -> Iterator[Tensor]:
    (U_k, U_h), (b_k, b_h) = cell.input.weight.chunk(2), cell.input.bias.chunk(2)
    s = x.new_zeros(len(x), len(b_h))
    for x_i in x.unbind(1):
        z = 1 - torch.sigmoid(x_i @ U_k.T + b_k)
        s = (1 - z) * s + z * (x_i @ U_h.T + b_h)
        yield s


def min_lstm(cell: MinLSTM, x: Tensor) -> Iterator[Tensor]:
    (U_f, U_i, U_h), (b_f, b_i, b_h) = cell.input.weight.chunk(3), cell.input.bias.chunk(3)
    s = x.new_zeros(len(x), len(b_h))
    for x_i in x.unbind(1):
        f, i = torch.sigmoid(x_i @ U_f.T + b_f), torch.sigmoid(x_i @ U_i.T + b_i)
        s = f / (f + i) * s + i / (f + i) * (x_i @ U_h.T + b_h)
        yield s


def sru(cell: SRU, x: Tensor) -> Iterator[Tensor]:
    (v_f, v_r), (b_f, b_r) = cell.peephole, cell.bias.chunk(2)
    U, U_f, U_r, *U_highway = cell.input_weight.split(len(v_f))
    c = x.new_zeros(len(x), len(v_f))
    for x_i in x.unbind(1):
        f, r = torch.sigmoid(x_i @ U_f.T + v_f * c + b_f), torch.sigmoid(x_i @ U_r.T + v_r * c + b_r)
        c = f * c + (1 - f) * (x_i @ U.T)
        highway = x_i @ U_highway[0].T if U_highway else x_i
        yield r * c + (1 - r) * 3**0.5 * highway


def qrnn(cell: QRNN, x: Tensor) -> Iterator[Tensor]:
    (U_f, U_z, U_o), (b_f, b_z, b_o) = cell.input.weight.chunk(3), cell.input.bias.chunk(3)
    c = x.new_zeros(len(x), len(b_f))
    inputs = [torch.zeros_like(x[:, 0])] * (cell.window - 1)
    for x_i in x.unbind(1):
        inputs = [*inputs, x_i]
        X = torch.cat(inputs[-cell.window :], dim=1)
        f = torch.sigmoid(X @ U_f.T + b_f)
        c = f * c + (1 - f) * torch.tanh(X @ U_z.T + b_z)
        yield torch.sigmoid(X @ U_o.T + b_o) * c


def lru(cell: LRU, x: Tensor) -> Iterator[Tensor]:
    decay = torch.exp(-cell.log_decay.exp()) * torch.exp(1j * cell.log_phase.exp())
    U = cell.input_weight[:, 0] + 1j * cell.input_weight[:, 1]
    C = cell.readout.weight[:, 0::2] - 1j * cell.readout.weight[:, 1::2]
    h = torch.zeros(len(x), len(decay), dtype=torch.complex128)
    for x_i in x.unbind(1):
        h = decay * h + cell.log_scale.exp() * (x_i.to(h.dtype) @ U.T)
        left, right = ((h @ C.T).real + x_i @ cell.skip.weight.T + cell.readout.bias).chunk(2, dim=1)
        yield left * right.sigmoid()


class Cell(NamedTuple):
    """A cell's constructor, called with (input_size, hidden_size), and its equations."""

    build: Callable[[int, int], nn.Module]
    equations: Callable[[Any, Tensor], Iterator[Tensor]]


CELLS = {
    "elman, sigmoid": Cell(partial(Elman, activation="sigmoid"), elman),
    "elman, tanh": Cell(partial(Elman, activation="tanh"), elman),
    "elman, relu": Cell(partial(Elman, activation="relu"), elman),
    "lstm": Cell(LSTM, lstm),
    "gru": Cell(GRU, gru),
    "peephole_lstm": Cell(PeepholeLSTM, peephole_lstm),
    "slstm, sigmoid": Cell(SLSTM, slstm),
    "slstm, exponential": Cell(partial(SLSTM, forget_gate="exponential"), slstm),
    "slstm, sigmoid, 2 heads": Cell(lambda i, h: SLSTM(i, 2 * h, num_heads=2), slstm),
    "slstm, exponential, 3 heads": Cell(lambda i, h: SLSTM(i, 3 * h, 3, "exponential"), slstm),
    "indrnn": Cell(IndRNN, indrnn),
    "min_gru": Cell(MinGRU, min_gru),
    "min_lstm": Cell(MinLSTM, min_lstm),
    "sru": Cell(SRU, sru),
    "sru, equal sizes": Cell(lambda i, h: SRU(h, h), sru),
    "qrnn": Cell(QRNN, qrnn),
    "qrnn, window 1": Cell(partial(QRNN, window=1), qrnn),
    "qrnn, window 5": Cell(partial(QRNN, window=5), qrnn),
    "lru": Cell(LRU, lru),
}
each_cell = pytest.mark.parametrize("name", CELLS)
sizes = st.integers(1, 5)


def make(
    name: str, batch: int, steps: int, input_size: int = 3, hidden_size: int = 4, seed: int = 0
) -> tuple[nn.Module, Tensor]:
    """A cell in float64, with no weight at its initial value, and x (B, T, I)."""
    torch.manual_seed(seed)
    cell = CELLS[name].build(input_size, hidden_size).double()
    for weight in cell.parameters():
        nn.init.normal_(weight, std=0.5)
    if isinstance(cell, IndRNN):
        nn.init.uniform_(cell.recurrent_weight, -0.99, 0.99)  # it is clipped to ±1
    if name == "sru, equal sizes":
        input_size = hidden_size
    return cell, torch.randn(batch, steps, input_size, dtype=torch.float64)


@each_cell
@settings(max_examples=25)
@given(batch=sizes, steps=st.integers(1, 12), input_size=sizes, hidden_size=sizes, seed=st.integers(0, 1000))
def test_states_and_gradients_are_those_of_the_equations(
    name: str, batch: int, steps: int, input_size: int, hidden_size: int, seed: int
) -> None:
    cell, x = make(name, batch, steps, input_size, hidden_size, seed)
    inputs = [x.requires_grad_(), *cell.parameters()]

    states = cell(x)
    expected = torch.stack(list(CELLS[name].equations(cell, x)), dim=1)

    torch.testing.assert_close(states, expected, rtol=1e-10, atol=1e-10)
    d_states = torch.randn_like(states)  # a different weight for each state
    gradients = torch.autograd.grad(states, inputs, d_states)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, inputs, d_states), rtol=1e-8, atol=1e-8)


@each_cell
def test_gradients_equal_finite_differences(name: str) -> None:
    cell, x = make(name, batch=2, steps=6)
    assert torch.autograd.gradcheck(lambda x, *_: cell(x), (x.requires_grad_(), *cell.parameters()))


@each_cell
def test_states_are_the_same_with_and_without_gradients(name: str) -> None:
    cell, x = make(name, batch=3, steps=7)
    with torch.inference_mode():
        inferred = cell(x)
    torch.testing.assert_close(inferred, cell(x).detach())


@each_cell
def test_states_do_not_depend_on_later_inputs(name: str) -> None:
    cell, x = make(name, batch=2, steps=20)
    changed = torch.cat([x[:, :7], torch.randn_like(x[:, 7:])], dim=1)
    for states in (cell(x[:, :7]), cell(changed)[:, :7]):
        torch.testing.assert_close(states, cell(x)[:, :7])


@each_cell
@settings(max_examples=15)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), padding=st.integers(0, 4))
def test_a_sequence_has_the_same_states_alone_as_padded_in_a_batch(name: str, lengths: list[int], padding: int) -> None:
    cell, x = make(name, len(lengths), max(lengths) + padding)
    for row, length in zip(x, lengths, strict=True):
        row[length:] *= 10
    states = cell(x)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(states[i, :length], cell(x[i : i + 1, :length])[0])


@each_cell
def test_autocast_to_bfloat16_stays_near_float32(name: str) -> None:
    cell, x = make(name, batch=2, steps=300, input_size=8, hidden_size=8)
    cell, x = cell.float(), x.float()
    expected = cell(x)
    with torch.autocast("cpu", torch.bfloat16):
        states = cell(x)
    states.square().mean().backward()
    tolerance = 0.05 * expected.abs().max().item()
    torch.testing.assert_close(states.float(), expected, rtol=0, atol=tolerance)
    assert states.dtype == (torch.bfloat16 if isinstance(cell, LSTM | Elman | LRU) else torch.float32)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in cell.parameters())


@each_cell
def test_no_value_is_read_on_the_host(name: str) -> None:
    """The meta device has no values; on a GPU reading one would wait for the device."""
    cell, x = make(name, batch=2, steps=20)
    shape = cell(x).shape
    states = cell.to("meta")(x.to("meta").requires_grad_())
    states.sum().backward()
    assert states.device.type == "meta"
    assert states.shape == shape
    assert all(weight.grad is not None for weight in cell.parameters())
