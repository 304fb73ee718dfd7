"""Encoders against PyTorch's own modules over packed sequences, and against themselves in other batches."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unroll.nn import GRU, LSTM, Elman, FeedForwardEncoder, RecurrentEncoder
from unroll.nn.encoder import padding_mask

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
}
batches = st.lists(st.integers(1, 9), min_size=1, max_size=5)  # of these lengths
seeds = st.integers(0, 1000)


def weights(cell: nn.Module) -> list[Tensor]:
    """As PyTorch's modules order them: U, W, bias of U, bias of W; Elman has no second bias."""
    if isinstance(cell, Elman):
        return [cell.input_weight, cell.recurrent_weight, cell.bias]
    return cell.loop.all_weights[0]


def paired_weights(encoder: RecurrentEncoder, reference: nn.RNNBase) -> list[tuple[Tensor, Tensor]]:
    """Every weight of the encoder next to the reference's."""
    directions = 2 if encoder.backward_cells else 1
    pairs = []
    for i, theirs in enumerate(reference.all_weights):
        layer, direction = divmod(i, directions)
        ours = weights((encoder.backward_cells if direction else encoder.forward_cells)[layer])
        pairs += list(zip(ours, theirs, strict=False))
    return pairs


def make_reference(name: str, encoder: RecurrentEncoder) -> nn.RNNBase:
    """PyTorch's own module with the encoder's weights."""
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
    """Random vectors at padding too: they must not matter."""
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
    pull = torch.randn_like(outputs[mask])  # each output weighs differently in the loss
    ((outputs[mask] * pull).mean() + final.square().mean()).backward()
    ((expected_outputs[mask] * pull).mean() + expected_final.square().mean()).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    for weight, reference_weight in paired_weights(encoder, reference):
        torch.testing.assert_close(weight.grad, reference_weight.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), lengths=batches, padding=st.integers(0, 4), seed=seeds)
def test_results_do_not_depend_on_how_a_sequence_was_batched(
    name: str, data: st.DataObject, lengths: list[int], padding: int, seed: int
) -> None:
    x, lengths_ = make_batch(lengths, seed)
    encoder = ENCODERS[name]()
    order = torch.tensor(data.draw(st.permutations(range(len(lengths)))))
    padded = torch.cat([x, 10 * torch.randn(len(x), padding, INPUT)], dim=1)

    outputs, final = encoder(padded[order], lengths_[order])

    for place, i in enumerate(order.tolist()):
        alone, alone_final = encoder(x[i : i + 1, : lengths[i]], lengths_[i : i + 1])
        torch.testing.assert_close(outputs[place, : lengths[i]], alone[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(final[place], alone_final[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_output_size_is_that_of_outputs_and_of_the_final_state(name: str) -> None:
    encoder = ENCODERS[name]()
    outputs, final = encoder(*make_batch([5, 1], seed=0))
    assert outputs.shape == (2, 5, encoder.output_size)
    assert final.shape == (2, encoder.output_size)


def test_sigmoid_layers_read_both_ways_equal_a_plain_loop() -> None:
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


def test_feed_forward_encoder_sees_each_step_alone_and_the_mean_of_all() -> None:
    x, lengths = make_batch([4, 2], seed=0)
    encoder = FeedForwardEncoder(INPUT, HIDDEN)
    W, b = encoder.hidden.weight.detach().numpy(), encoder.hidden.bias.detach().numpy()

    outputs, final = encoder(x, lengths)

    for i, length in enumerate([4, 2]):
        tokens = x[i, :length].numpy()
        np.testing.assert_allclose(outputs[i, :length].detach(), 1 / (1 + np.exp(-(tokens @ W.T + b))), atol=1e-6)
        np.testing.assert_allclose(final[i].detach(), 1 / (1 + np.exp(-(W @ tokens.mean(axis=0) + b))), atol=1e-6)


def test_only_a_recurrence_sees_the_order_of_the_inputs() -> None:
    x, lengths = make_batch([5], seed=0)
    backwards = x.flip(1)
    bag = FeedForwardEncoder(INPUT, HIDDEN)
    torch.testing.assert_close(bag(x, lengths)[1], bag(backwards, lengths)[1])
    for name, cell in CELLS.items():
        recurrent = RecurrentEncoder(INPUT, HIDDEN, cell)
        difference = (recurrent(x, lengths)[1] - recurrent(backwards, lengths)[1]).abs().max()
        assert difference > 1e-3, name


def test_dropout_stands_between_layers_and_only_in_training() -> None:
    x, lengths = make_batch([5, 3], seed=0)
    single = RecurrentEncoder(INPUT, HIDDEN, GRU, num_layers=1, dropout=0.5)
    torch.testing.assert_close(single.train()(x, lengths), single.eval()(x, lengths))
    double = RecurrentEncoder(INPUT, HIDDEN, GRU, num_layers=2, dropout=0.5)
    torch.testing.assert_close(double.eval()(x, lengths), double.eval()(x, lengths))
    assert not torch.allclose(double.train()(x, lengths)[0], double.eval()(x, lengths)[0])
    # What comes out of the last layer is not dropped: a state of exactly zero would be.
    assert double.train()(x, lengths)[0].all()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_layers": 0}, "num_layers=0; accepted: 1 or more"),
        ({"hidden_size": 0}, "hidden_size=0; accepted: 1 or more"),
    ],
)
def test_sizes_below_one_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecurrentEncoder(**({"input_size": INPUT, "hidden_size": HIDDEN, "cell": GRU} | sizes))
