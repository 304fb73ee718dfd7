"""Encoders, compared with PyTorch's modules on packed sequences and with themselves in other batches."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unroll.nn.elman import Elman
from unroll.nn.encoder import FeedForwardEncoder, RecurrentEncoder, Reverse, padding_mask, reversal, reversed_rows
from unroll.nn.gru import GRU
from unroll.nn.lstm import LSTM

INPUT, HIDDEN = 3, 4
CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "tanh": partial(Elman, activation="tanh"),
    "relu": partial(Elman, activation="relu"),
    "lstm": LSTM,
    "gru": GRU,
}
TORCH: dict[str, Callable[..., nn.RNNBase]] = {
    "tanh": partial(nn.RNN, nonlinearity="tanh"),
    "relu": partial(nn.RNN, nonlinearity="relu"),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}
ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "feed forward": partial(FeedForwardEncoder, INPUT, HIDDEN),
    "sigmoid": partial(RecurrentEncoder, INPUT, HIDDEN, partial(Elman, activation="sigmoid"), 2, True),
    **{name: partial(RecurrentEncoder, INPUT, HIDDEN, cell, 2, True) for name, cell in CELLS.items()},
    "residual": partial(RecurrentEncoder, INPUT, HIDDEN, GRU, 3, True, residual=True, layer_norm=True),
    "separate": partial(RecurrentEncoder, INPUT, HIDDEN, GRU, 3, True, residual=True, layer_norm=True, separate=True),
}
ONE_WAY = partial(RecurrentEncoder, INPUT, HIDDEN, GRU)
batches = st.lists(st.integers(1, 9), min_size=1, max_size=5)  # lengths of the sequences
seeds = st.integers(0, 1000)


def weights(cell: nn.Module) -> list[Tensor]:
    """In the order of PyTorch's modules: U, W, bias of U, bias of W; Elman has no second bias."""
    if isinstance(cell, Elman):
        return [cell.input_weight, cell.recurrent_weight, cell.bias]
    return cell.loop.all_weights[0]


def paired_weights(encoder: RecurrentEncoder, reference: nn.RNNBase) -> list[tuple[Tensor, Tensor]]:
    """Pairs of corresponding weights of the encoder and the reference."""
    directions = 2 if encoder.backward_cells else 1
    pairs = []
    for i, theirs in enumerate(reference.all_weights):
        layer, direction = divmod(i, directions)
        ours = weights((encoder.backward_cells if direction else encoder.forward_cells)[layer])
        pairs += list(zip(ours, theirs, strict=False))
    return pairs


def make_reference(name: str, encoder: RecurrentEncoder) -> nn.RNNBase:
    """PyTorch's module with the encoder's weights."""
    bidirectional = bool(encoder.backward_cells)
    reference = TORCH[name](INPUT, HIDDEN, len(encoder.forward_cells), batch_first=True, bidirectional=bidirectional)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.zero_()
        for ours, theirs in paired_weights(encoder, reference):
            theirs.copy_(ours)
    return reference


def run_packed(reference: nn.RNNBase, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, final = reference(packed)
    final = final[0] if isinstance(final, tuple) else final  # (layers · directions, B, H)
    directions = 2 if reference.bidirectional else 1
    return pad_packed_sequence(outputs, batch_first=True)[0], torch.cat(list(final[-directions:]), dim=1)


def make_batch(lengths: list[int], seed: int) -> tuple[Tensor, Tensor]:
    """Random vectors, also at padding."""
    torch.manual_seed(seed)
    return torch.randn(len(lengths), max(lengths), INPUT), torch.tensor(lengths)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", CELLS)
@settings(max_examples=10, deadline=None)
@given(lengths=batches, seed=seeds)
def test_recurrent_encoder_equals_torch_over_packed_sequences(
    name: str, num_layers: int, bidirectional: bool, lengths: list[int], seed: int
) -> None:
    x, lengths_ = make_batch(lengths, seed)
    encoder = RecurrentEncoder(INPUT, HIDDEN, CELLS[name], num_layers, bidirectional)
    reference = make_reference(name, encoder)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()

    outputs, final = encoder(ours, lengths_)
    expected_outputs, expected_final = run_packed(reference, theirs, lengths_)

    mask = padding_mask(lengths_, max(lengths))
    torch.testing.assert_close(outputs[mask], expected_outputs[mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(final, expected_final, atol=1e-5, rtol=1e-5)
    d_outputs = torch.randn_like(outputs[mask])  # a different weight for each output
    ((outputs[mask] * d_outputs).mean() + final.square().mean()).backward()
    ((expected_outputs[mask] * d_outputs).mean() + expected_final.square().mean()).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    for weight, reference_weight in paired_weights(encoder, reference):
        torch.testing.assert_close(weight.grad, reference_weight.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), lengths=batches, padding=st.integers(0, 4), seed=seeds)
def test_results_do_not_depend_on_the_batch(
    name: str, data: st.DataObject, lengths: list[int], padding: int, seed: int
) -> None:
    x, lengths_ = make_batch(lengths, seed)
    encoder = ENCODERS[name]()
    order = torch.tensor(data.draw(st.permutations(range(len(lengths)))))
    padded = torch.cat([x, 10 * torch.randn(len(x), padding, INPUT)], dim=1)

    outputs, final = encoder(padded[order], lengths_[order])

    for row, i in enumerate(order.tolist()):
        alone, alone_final = encoder(x[i : i + 1, : lengths[i]], lengths_[i : i + 1])
        torch.testing.assert_close(outputs[row, : lengths[i]], alone[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(final[row], alone_final[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_output_size_is_the_size_of_outputs_and_final_state(name: str) -> None:
    encoder = ENCODERS[name]()
    outputs, final = encoder(*make_batch([5, 1], seed=0))
    assert outputs.shape == (2, 5, encoder.output_size)
    assert final.shape == (2, encoder.output_size)


def test_bidirectional_sigmoid_layers_equal_a_plain_loop() -> None:
    (x, lengths) = make_batch([6], seed=0)
    encoder = RecurrentEncoder(INPUT, HIDDEN, partial(Elman, activation="sigmoid"), 2, True)

    def read(cell: Elman, sequence: np.ndarray) -> np.ndarray:
        U, W, b = (weight.detach().numpy() for weight in weights(cell))
        state, states = np.zeros(HIDDEN), []
        for token in sequence:
            state = 1 / (1 + np.exp(-(U @ token + W @ state + b)))
            states.append(state)
        return np.stack(states)

    expected = x[0].numpy()
    for forward, backward in zip(encoder.forward_cells, encoder.backward_cells, strict=True):
        expected = np.concatenate([read(forward, expected), read(backward, expected[::-1])[::-1]], axis=1)

    outputs, final = encoder(x, lengths)

    np.testing.assert_allclose(outputs[0].detach(), expected, atol=1e-5)
    np.testing.assert_allclose(final[0].detach(), np.r_[expected[-1, :HIDDEN], expected[0, HIDDEN:]], atol=1e-5)


def test_feed_forward_encoder_maps_each_step_alone_and_the_mean() -> None:
    x, lengths = make_batch([4, 2], seed=0)
    encoder = FeedForwardEncoder(INPUT, HIDDEN)
    W, b = encoder.hidden.weight.detach().numpy(), encoder.hidden.bias.detach().numpy()

    outputs, final = encoder(x, lengths)

    for i, length in enumerate([4, 2]):
        tokens = x[i, :length].numpy()
        np.testing.assert_allclose(outputs[i, :length].detach(), 1 / (1 + np.exp(-(tokens @ W.T + b))), atol=1e-6)
        np.testing.assert_allclose(final[i].detach(), 1 / (1 + np.exp(-(W @ tokens.mean(axis=0) + b))), atol=1e-6)


def test_only_a_recurrence_depends_on_the_order_of_the_inputs() -> None:
    x, lengths = make_batch([5], seed=0)
    backwards = x.flip(1)
    bag = FeedForwardEncoder(INPUT, HIDDEN)
    torch.testing.assert_close(bag(x, lengths)[1], bag(backwards, lengths)[1])
    for name, cell in CELLS.items():
        recurrent = RecurrentEncoder(INPUT, HIDDEN, cell)
        difference = (recurrent(x, lengths)[1] - recurrent(backwards, lengths)[1]).abs().max()
        assert difference > 1e-3, name


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_final_vector_is_each_directions_last_output(bidirectional: bool) -> None:
    x, lengths = make_batch([5, 2, 1], seed=0)
    encoder = ONE_WAY(2, bidirectional, residual=True, layer_norm=True)
    outputs, final = encoder(x, lengths)
    for i, length in enumerate([5, 2, 1]):
        assert torch.equal(final[i, :HIDDEN], outputs[i, length - 1, :HIDDEN])
        assert torch.equal(final[i, HIDDEN:], outputs[i, 0, HIDDEN:])


def test_residual_layers_add_their_input_and_are_normalised() -> None:
    x, lengths = make_batch([6], seed=0)
    encoder = ONE_WAY(3, bidirectional=True, residual=True, layer_norm=True)
    for norm in encoder.norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)

    expected = x
    for i, norm in enumerate(encoder.norms):
        backward = encoder.backward_cells[i](expected.flip(1)).flip(1)
        layer = torch.cat([encoder.forward_cells[i](expected), backward], dim=2)
        layer = layer + expected if i else layer  # the input of the first layer has another size
        mean, variance = layer.mean(dim=2, keepdim=True), layer.var(dim=2, keepdim=True, correction=0)
        expected = (layer - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias

    torch.testing.assert_close(encoder(x, lengths)[0], expected, atol=1e-5, rtol=1e-5)


def test_separate_directions_are_two_encoders_side_by_side() -> None:
    x, lengths = make_batch([6, 4], seed=0)
    encoder = ONE_WAY(3, bidirectional=True, residual=True, layer_norm=True, separate=True)
    one, other = (ONE_WAY(3, residual=True, layer_norm=True) for _ in range(2))
    for alone, cells, norms in (
        (one, encoder.forward_cells, encoder.norms),
        (other, encoder.backward_cells, encoder.backward_norms),
    ):
        alone.forward_cells, alone.norms = cells, norms
        for norm in norms:
            nn.init.normal_(norm.weight)

    outputs, final = encoder(x, lengths)

    rows = reversed_rows(lengths, 6)
    backward, backward_final = other(Reverse.apply(x, rows), lengths)
    torch.testing.assert_close(outputs, torch.cat([one(x, lengths)[0], Reverse.apply(backward, rows)], dim=2))
    torch.testing.assert_close(final, torch.cat([one(x, lengths)[1], backward_final], dim=1))


def test_one_layer_without_norm_is_the_same_with_separate_directions() -> None:
    x, lengths = make_batch([6, 4], seed=0)
    encoder, separate = (ONE_WAY(bidirectional=True, separate=it) for it in (False, True))
    separate.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(x, lengths)[0], separate(x, lengths)[0])


def test_the_first_layer_is_residual_if_its_input_has_the_same_size() -> None:
    x, lengths = make_batch([6, 3], seed=0)
    encoder = RecurrentEncoder(INPUT, INPUT, GRU, residual=True)
    torch.testing.assert_close(encoder(x, lengths)[0], encoder.forward_cells[0](x) + x)


def identity(input_size: int, hidden_size: int) -> nn.Module:
    """A cell whose states are its inputs, which makes dropout visible in the outputs."""
    return nn.Identity()


def test_dropout_between_layers_drops_a_feature_for_a_whole_sequence() -> None:
    x = torch.ones(50, 7, HIDDEN)
    outputs, _ = RecurrentEncoder(HIDDEN, HIDDEN, identity, num_layers=2, dropout=0.5)(x, torch.full((50,), 7))
    assert set(outputs.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(outputs, outputs[:, :1].expand_as(outputs))


@pytest.mark.parametrize(("num_layers", "training"), [(1, True), (2, False)])
def test_dropout_applies_between_layers_and_only_in_training(num_layers: int, training: bool) -> None:
    x, lengths = make_batch([5, 3], seed=0)
    encoder = RecurrentEncoder(INPUT, INPUT, identity, num_layers, dropout=0.5).train(training)
    assert torch.equal(encoder(x, lengths)[0], x)


def test_the_residual_connection_has_no_dropout() -> None:
    x, lengths = make_batch([5, 3], seed=0)
    encoder = RecurrentEncoder(INPUT, INPUT, identity, num_layers=2, dropout=0.5, residual=True)
    outputs, _ = encoder(x, lengths)
    shares = outputs / (2 * x) - 1  # the first layer gives 2 x, the second adds its dropped-out copy, scaled by 0 or 2
    assert ((shares - 2).abs().minimum(shares.abs()) < 1e-5).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_autocast_to_bfloat16_stays_near_single_precision(name: str) -> None:
    x, lengths = make_batch([6, 3, 1], seed=0)
    encoder = ENCODERS[name]()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, final = encoder(x.requires_grad_(), lengths)
        (outputs.float().square().mean() + final.float().square().mean()).backward()
    torch.testing.assert_close(final.float(), encoder(x, lengths)[1], atol=0.1, rtol=0)
    for tensor in (x, *encoder.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


@settings(max_examples=30, deadline=None)
@given(lengths=batches, padding=st.integers(0, 3))
def test_reversal_reverses_each_sequence_and_leaves_padding(lengths: list[int], padding: int) -> None:
    steps = max(lengths) + padding
    order = reversal(torch.tensor(lengths), steps)
    for row, length in zip(order.tolist(), lengths, strict=True):
        assert row == [*reversed(range(length)), *range(length, steps)]


def test_the_gradient_of_a_reversal_is_that_of_a_gather() -> None:
    x = torch.randn(3, 5, 2, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([5, 3, 1])
    order, rows = reversal(lengths, 5), reversed_rows(lengths, 5)
    torch.testing.assert_close(Reverse.apply(x, rows), x.gather(1, order[:, :, None].expand_as(x)))
    assert torch.autograd.gradcheck(Reverse.apply, (x, rows))
    assert torch.autograd.gradgradcheck(Reverse.apply, (x, rows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "num_layers=0; accepted: 1 or more"),
        ({"hidden_size": 0}, "hidden_size=0; accepted: 1 or more"),
        ({"input_size": -1}, "input_size=-1; accepted: 1 or more"),
        ({"dropout": 1.0}, "dropout=1.0; accepted: 0 to below 1"),
        ({"dropout": -0.1}, "dropout=-0.1; accepted: 0 to below 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, int | float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecurrentEncoder(**({"input_size": INPUT, "hidden_size": HIDDEN, "cell": GRU} | options))


@pytest.mark.parametrize("name", ["feed forward", "lstm"])
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([4, 0], r"lengths\[1\]=0; accepted: 1 to 4"),
        ([5, 4], r"lengths\[0\]=5; accepted: 1 to 4"),
        ([4, 4, 4], r"lengths of shape \(3,\); accepted: \(2,\)"),
    ],
)
def test_lengths_that_do_not_fit_the_batch_are_refused(name: str, lengths: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ENCODERS[name]()(torch.randn(2, 4, INPUT), torch.tensor(lengths))


@pytest.mark.parametrize("name", ["feed forward", "lstm"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused_except_at_padding(name: str, number: float) -> None:
    x, lengths = make_batch([4, 3], seed=0)
    encoder = ENCODERS[name]()
    _, expected = encoder(x, lengths)
    x[1, 3] = number
    torch.testing.assert_close(encoder(x, lengths)[1], expected)
    x[1, 2, 1] = number
    with pytest.raises(ValueError, match=r"x\[1, 2\] is NaN or infinite"):
        encoder(x, lengths)


def test_finite_numbers_whose_sum_overflows_are_accepted() -> None:
    x = torch.full((2, 3, INPUT), 3e38)
    FeedForwardEncoder(INPUT, HIDDEN)(x, torch.tensor([3, 1]))
