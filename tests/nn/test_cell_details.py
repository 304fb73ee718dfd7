"""Properties of single cells: initial weights, extreme values and arguments."""

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unroll.nn import GRU, LRU, LSTM, QRNN, SLSTM, SRU, Elman, IndRNN, MinGRU, MinLSTM, PeepholeLSTM
from unroll.nn.gates import for_fused_loop
from unroll.nn.slstm import ForgetGate

each_forget_gate = pytest.mark.parametrize("forget_gate", get_args(ForgetGate))
each_sign = pytest.mark.parametrize("sign", [1, -1])


def recurrent_blocks(cell: nn.Module) -> list[Tensor]:
    """The recurrent weight of each gate."""
    if isinstance(cell, LSTM | GRU):
        weight = cell.loop.weight_hh_l0
    else:
        assert isinstance(cell, Elman | PeepholeLSTM)
        weight = cell.recurrent_weight
    return list(weight.detach().split(weight.shape[1]))


@pytest.mark.parametrize(
    ("cell", "gates"), [(Elman(3, 6), 1), (LSTM(3, 6), 4), (GRU(3, 6), 3), (PeepholeLSTM(3, 6), 4)]
)
def test_every_gate_starts_with_an_orthogonal_recurrent_weight(cell: nn.Module, gates: int) -> None:
    blocks = recurrent_blocks(cell)
    assert len(blocks) == gates
    for block in blocks:
        torch.testing.assert_close(block @ block.T, torch.eye(6))


def test_the_forget_gate_of_the_lstm_starts_with_bias_one_and_the_others_with_zero() -> None:
    _, _, b, b2 = LSTM(3, 2).loop.all_weights[0]
    assert (b + b2).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]  # i, f, g, o


def test_elman_and_the_gru_start_without_bias() -> None:
    _, _, b, b2 = GRU(3, 6).loop.all_weights[0]
    assert not b.any() and not b2.any()
    assert not Elman(3, 6).bias.any()


def test_the_peephole_lstm_starts_as_a_plain_lstm_with_an_open_forget_gate() -> None:
    cell = PeepholeLSTM(3, 2)
    assert not cell.peepholes.any()
    assert cell.bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]  # i, f, g, o


def test_without_peepholes_states_equal_those_of_the_lstm_of_torch() -> None:
    torch.manual_seed(0)
    cell = PeepholeLSTM(3, 5).double()
    nn.init.normal_(cell.bias)
    reference = nn.LSTM(3, 5, batch_first=True).double()
    ours = [cell.input_weight, cell.recurrent_weight, cell.bias, torch.zeros_like(cell.bias)]
    with torch.no_grad():
        for theirs, weight in zip(reference.all_weights[0], ours, strict=True):
            theirs.copy_(weight)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x), reference(x)[0])


# SLSTM


def make_slstm(hidden_size: int, num_heads: int, forget_gate: ForgetGate) -> SLSTM:
    """In float64, with recurrent weights and biases that are not zero."""
    torch.manual_seed(0)
    cell = SLSTM(3, hidden_size, num_heads, forget_gate).double()
    nn.init.normal_(cell.recurrent_weight)
    with torch.no_grad():
        cell.bias += torch.randn_like(cell.bias)
    return cell


@each_forget_gate
def test_long_sequences_in_float32_equal_those_in_float64(forget_gate: ForgetGate) -> None:
    cell = make_slstm(8, 2, forget_gate)
    x = torch.randn(2, 4000, 3, dtype=torch.float64)
    expected = cell(x).detach()

    x = x.float().requires_grad_()
    states = cell.float()(x)
    states[:, -1].sum().backward()

    torch.testing.assert_close(states.double(), expected, rtol=0, atol=1e-3)
    assert x.grad is not None and x.grad.isfinite().all()


@each_forget_gate
@pytest.mark.parametrize("scale", [1e3, 1e6, 1e30])
def test_extreme_inputs_give_finite_states_and_gradients(forget_gate: ForgetGate, scale: float) -> None:
    cell = make_slstm(8, 2, forget_gate).float()
    x = (scale * torch.randn(4, 50, 3)).requires_grad_()
    states = cell(x)
    states.sum().backward()
    assert (states.abs() <= 1).all()
    assert all(t.grad is not None and t.grad.isfinite().all() for t in (x, *cell.parameters()))


def test_an_overwhelming_input_gate_erases_the_past() -> None:
    cell = SLSTM(3, 1).double()  # the inputs are z̃, ĩ and õ themselves
    with torch.no_grad():
        cell.input_weight.copy_(torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]))
    x = torch.tensor([[[2.0, 5.0, 0.0], [-1.0, 3000.0, 0.0], [2.0, 1.0, 0.0]]], dtype=torch.float64)
    expected = 0.5 * np.tanh([2, -1, -1])  # o = 0.5; from the second step on its input has all the weight
    np.testing.assert_allclose(cell(x).detach().flatten(), expected, atol=1e-12)


@each_forget_gate
def test_each_head_starts_with_forget_gates_from_half_open_to_almost_open(forget_gate: ForgetGate) -> None:
    cell = SLSTM(3, 6, 2, forget_gate)
    assert not cell.recurrent_weight.any()
    z, i, f, o = cell.bias.detach().unbind(dim=1)  # (heads, H / heads) each
    assert not z.any() and not i.any() and not o.any()
    kept = f.sigmoid() if forget_gate == "sigmoid" else f.exp()
    torch.testing.assert_close(kept, torch.tensor([0, 2.5, 5]).sigmoid().expand(2, 3))


# IndRNN


def make_indrnn(recurrent_weight: float) -> IndRNN:
    torch.manual_seed(0)
    cell = IndRNN(2, 4).double()
    nn.init.constant_(cell.bias, 3)  # so that all units are active
    nn.init.constant_(cell.recurrent_weight, recurrent_weight)
    return cell


@each_sign
def test_a_weight_beyond_the_bound_acts_as_the_bound(sign: int) -> None:
    x = torch.randn(3, 6, 2, dtype=torch.float64)
    torch.testing.assert_close(make_indrnn(sign * 1.5)(x), make_indrnn(sign)(x), rtol=0, atol=0)


@each_sign
def test_beyond_the_bound_the_gradient_leads_back_or_is_zero(sign: int) -> None:
    x = torch.randn(3, 6, 2, dtype=torch.float64)
    upwards = torch.ones(3, 6, 4, dtype=torch.float64)

    def gradient(recurrent_weight: float, d_states: Tensor) -> Tensor:
        cell = make_indrnn(recurrent_weight)
        return torch.autograd.grad(cell(x), cell.recurrent_weight, d_states)[0]

    at_the_bound = gradient(sign, upwards)
    assert at_the_bound.all()
    gradients = gradient(sign * 1.5, upwards), gradient(sign * 1.5, -upwards)
    back, away = gradients if sign == 1 else reversed(gradients)  # descent lowers a weight of positive gradient
    torch.testing.assert_close(back, sign * at_the_bound)
    assert not away.any()


def test_states_stay_finite_on_a_long_sequence_whatever_the_weight() -> None:
    assert make_indrnn(1.1).float()(torch.ones(1, 5000, 2)).isfinite().all()


def test_the_recurrent_weights_start_anywhere_between_no_memory_and_endless_memory() -> None:
    torch.manual_seed(0)
    weight = IndRNN(2, 1000).recurrent_weight.detach()
    assert weight.min() >= 0 and weight.max() <= 1
    np.testing.assert_allclose(np.quantile(weight, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.05)


# MinGRU, MinLSTM, QRNN, SRU


def test_memories_of_the_min_gru_start_one_to_sixty_four_steps_long() -> None:
    """A memory of m steps has z = 1 / (m + 1)."""
    torch.manual_seed(0)
    cell = MinGRU(3, 1000)
    with torch.no_grad():
        cell.input.bias[1000:] = 1  # a candidate of one at every step
    first, second = cell(torch.zeros(1, 2, 3))[0]
    steps = 1 / first - 1
    assert 1 <= steps.min() < 2
    assert 63 < steps.max() < 64.01
    torch.testing.assert_close(second - first, first * steps / (steps + 1))


def test_memories_of_the_min_lstm_start_one_to_sixty_four_steps_long() -> None:
    """A memory of m steps has i / (f + i) = 1 / (m + 1)."""
    torch.manual_seed(0)
    cell = MinLSTM(3, 1000)
    with torch.no_grad():
        cell.input.bias[2000:] = 1  # a candidate of one at every step
    steps = 1 / cell(torch.zeros(1, 1, 3)) - 1
    assert 1 <= steps.min() < 2
    assert 63 < steps.max() < 64.01


def test_two_closed_gates_of_the_min_lstm_are_normalised() -> None:
    """f / (f + i) would be 0 / 0 in float32."""
    cell = MinLSTM(1, 1)
    with torch.no_grad():
        cell.input.weight.zero_()
        cell.input.bias.copy_(torch.tensor([-200.0, -200.0, 1.0]))
    torch.testing.assert_close(cell(torch.zeros(1, 2, 1)).flatten(), torch.tensor([0.5, 0.75]))


@pytest.mark.parametrize("cell_type", [QRNN, SRU])
def test_forget_gates_start_with_memories_of_one_to_sixty_four_steps(cell_type: type[QRNN] | type[SRU]) -> None:
    torch.manual_seed(0)
    cell = cell_type(3, 1000)
    bias = (cell.input.bias if isinstance(cell, QRNN) else cell.bias).detach()
    assert 0 <= bias[:1000].min() < bias[:1000].max() <= math.log(64) + 1e-6
    assert not bias[1000:].any()


@pytest.mark.parametrize(("input_size", "weights"), [(4, 3), (3, 4)])
def test_the_highway_of_the_sru_has_a_weight_where_the_sizes_differ(input_size: int, weights: int) -> None:
    assert SRU(input_size, 4).input_weight.shape == (weights * 4, input_size)


def test_weights_of_the_sru_start_with_the_variances_of_the_paper() -> None:
    torch.manual_seed(0)
    cell = SRU(300, 400)
    variances = [300 * weight.var().item() for weight in cell.input_weight.chunk(4)]
    assert variances == pytest.approx([1, 0.5, 0.5, 1], rel=0.05)
    assert cell.peephole.var().item() == pytest.approx(0.5, rel=0.1)


# LRU


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
    """At |λ| = 0 and |λ| = 1 the gradient is not finite."""
    monkeypatch.setattr(Tensor, "uniform_", lambda self, *bounds, **_: self.fill_(bounds[end]))
    cell = LRU(3, 4)
    cell(torch.ones(1, 2, 3)).sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in cell.parameters())


@pytest.mark.parametrize(
    ("cell_type", "options", "message"),
    [
        (Elman, {"activation": "softmax"}, "activation='softmax'; accepted: sigmoid, tanh, relu"),
        (SLSTM, {"num_heads": 0}, "num_heads=0; accepted: a divisor of hidden_size=6"),
        (SLSTM, {"num_heads": -2}, "num_heads=-2; accepted: a divisor of hidden_size=6"),
        (SLSTM, {"num_heads": 4}, "num_heads=4; accepted: a divisor of hidden_size=6"),
        (SLSTM, {"forget_gate": "softmax"}, "forget_gate='softmax'; accepted: sigmoid, exponential"),
        (QRNN, {"window": 0}, "window=0; accepted: 1 or more"),
        (QRNN, {"window": -1}, "window=-1; accepted: 1 or more"),
        *[
            (LRU, {"r_min": low, "r_max": high}, f"r_min={low}, r_max={high}; accepted: 0 <= r_min < r_max <= 1")
            for low, high in ((-0.1, 0.9), (0.5, 0.5), (0.9, 0.4), (0.5, 1.1), (math.nan, 1))
        ],
        *[
            (LRU, {"max_phase": phase}, f"max_phase={phase}; accepted: above 0 and at most 2π")
            for phase in (0, -1, 6.29, math.nan)
        ],
    ],
)
def test_arguments_out_of_range_are_refused(cell_type: type[nn.Module], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cell_type(3, 6, **options)


# Weights for the fused loops of a GPU


def is_one_block(weights: list[Tensor]) -> bool:
    """Whether the weights lie one after the other, from the start of their memory, as cuDNN reads them."""
    ends = np.cumsum([weight.numel() for weight in weights]).tolist()
    offsets = [weight.storage_offset() for weight in weights]
    memories = {weight.untyped_storage().data_ptr() for weight in weights}
    return offsets == [0, *ends[:-1]] and len(memories) == 1 and all(weight.is_contiguous() for weight in weights)


def test_weights_for_a_fused_loop_are_one_block_but_on_a_cpu_themselves() -> None:
    cell = LSTM(3, 4)
    weights = cell.loop.all_weights[0]
    given = for_fused_loop(weights, torch.device("cpu"))
    assert all(ours is weight for ours, weight in zip(given, weights, strict=True))
    block = for_fused_loop(weights, torch.device("cuda"))  # copies on the device of the weights
    assert not is_one_block(given) and is_one_block(block)
    for copy, weight in zip(block, weights, strict=True):
        torch.testing.assert_close(copy, weight, rtol=0, atol=0)


def test_gradients_pass_through_the_block() -> None:
    weights = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((4, 3), (4, 4), (4,), (4,))]
    block = for_fused_loop(weights, torch.device("cuda"))
    factors = [torch.randn_like(weight) for weight in weights]
    loss = sum((copy * factor).sum() for copy, factor in zip(block, factors, strict=True))
    assert isinstance(loss, Tensor)
    torch.testing.assert_close(torch.autograd.grad(loss, weights), tuple(factors))


@pytest.mark.parametrize(
    ("loop", "cell"),
    [
        ("rnn_tanh", Elman(3, 4)),
        ("rnn_tanh", Elman(3, 4, "sigmoid")),
        ("rnn_relu", Elman(3, 4, "relu", weight_dropout=0.5)),
        ("lstm", LSTM(3, 4, weight_dropout=0.5)),
        ("gru", GRU(3, 4, weight_dropout=0.5)),
    ],
)
def test_on_another_device_than_a_cpu_the_fused_loops_get_one_block(
    loop: str, cell: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device, the weights' places in memory are the same as on a GPU."""
    blocks: list[list[Tensor]] = []
    monkeypatch.setattr(torch, loop, lambda x, start, weights, *_: blocks.append(weights) or (x, x))
    cell.to("meta")(torch.empty(2, 5, 3, device="meta"))
    assert [is_one_block(weights) for weights in blocks] == [True]
