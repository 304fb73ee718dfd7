"""The package's encoders next to nn.LSTM and nn.GRU, on a PackedSequence and on padded input."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.timing import Medians, Row, alternate, time_row, timed
from unroll.nn import GRU, LSTM, RecurrentEncoder
from unroll.nn.encoder import padding_mask

SIZE = 128  # of inputs and of each direction's hidden states
SHAPES = ((32, 30), (32, 230), (8, 1000))
SHORTEST = (0.95, 0.5)  # shortest length of a batch as a share of the longest: batches by length, random batches
TOLERANCE = 1e-5


class Batch(NamedTuple):
    """x: (B, T, I), lengths: (B,), and the loss's gradients d_outputs: (B, T, O), 0 at padding, and d_final: (B, O)."""

    x: Tensor
    lengths: Tensor
    d_outputs: Tensor
    d_final: Tensor


class Packed(nn.Module):
    """A bidirectional nn.LSTM or nn.GRU on a PackedSequence."""

    def __init__(self, loop: nn.RNNBase) -> None:
        super().__init__()
        self.loop = loop

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        packed_outputs, state = self.loop(packed)
        outputs, _ = pad_packed_sequence(packed_outputs, batch_first=True, total_length=x.shape[1])
        last = state[0] if isinstance(state, tuple) else state  # (2, B, H)
        return outputs, torch.cat([last[0], last[1]], dim=1)


class Padded(nn.Module):
    """The same module on padded input without lengths: a lower bound of the cost of both directions."""

    def __init__(self, loop: nn.RNNBase) -> None:
        super().__init__()
        self.loop = loop

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        outputs, _ = self.loop(x)
        return outputs, outputs[:, -1]


def rows() -> Iterator[Row]:
    yield from compare("LSTM", LSTM, nn.LSTM)
    yield from compare("GRU", GRU, nn.GRU)
    yield share_of_peak()


def compare(name: str, cell: type[nn.Module], reference: type[nn.LSTM | nn.GRU]) -> Iterator[Row]:
    torch.manual_seed(0)
    ours = RecurrentEncoder(SIZE, SIZE, cell, bidirectional=True)
    loop = reference(SIZE, SIZE, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for theirs, our in zip(loop.parameters(), ours.parameters(), strict=True):
            theirs.copy_(our)
    networks = {"PackedSequence": Packed(loop), f"nn.{name}, padding read as text": Padded(loop)}
    differences = []
    for (size, steps), shortest in product(SHAPES, SHORTEST):
        batch = draw_batch(size, steps, shortest)
        differences.append(largest_difference(ours, networks["PackedSequence"], batch))
        runs = [timed(partial(step, network, batch)) for network in (ours, *networks.values())]
        (seconds, *others), repeats = alternate(*runs)
        title = f"bidirectional {name}, training step, {size} × {steps}, lengths of {shortest:.0%} to 100%"
        for other, theirs_seconds in zip(networks, others, strict=True):
            yield time_row(title, other, Medians([seconds, theirs_seconds], repeats))
    title = f"bidirectional {name}, largest relative difference of outputs and gradients"
    yield Row(title, max(differences), "", "PackedSequence")


def draw_batch(size: int, steps: int, shortest: float) -> Batch:
    """A random batch with lengths uniform from `shortest * steps` to `steps`; the first sequence has the latter."""
    lengths = torch.randint(round(shortest * steps), steps + 1, (size,))
    lengths[0] = steps
    d_outputs = torch.randn(size, steps, 2 * SIZE) * padding_mask(lengths, steps)[:, :, None]
    return Batch(torch.randn(size, steps, SIZE, requires_grad=True), lengths, d_outputs, torch.randn(size, 2 * SIZE))


def step(network: nn.Module, batch: Batch) -> list[Tensor]:
    """Forward and backward pass; returns outputs, final state, and gradients of the inputs and all weights."""
    outputs, final = network(batch.x, batch.lengths)
    inputs = [batch.x, *network.parameters()]
    return [outputs, final, *torch.autograd.grad([outputs, final], inputs, [batch.d_outputs, batch.d_final])]


def largest_difference(ours: nn.Module, theirs: nn.Module, batch: Batch) -> float:
    """The largest difference between the tensors that `step` returns, each relative to its largest value.

    Raises:
        ValueError: it exceeds `TOLERANCE`.
    """
    mask = padding_mask(batch.lengths, batch.x.shape[1])[:, :, None]
    (our_outputs, *our_rest), (their_outputs, *their_rest) = step(ours, batch), step(theirs, batch)
    pairs = [(our_outputs * mask, their_outputs), *zip(our_rest, their_rest, strict=True)]
    difference = max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)
    if difference > TOLERANCE:
        raise ValueError(f"the encoders differ by {difference:.1e}; accepted: {TOLERANCE:.0e}")
    return difference


def share_of_peak() -> Row:
    """Floating-point rate of the matrix products in an LSTM's training step, in % of that of a large matrix product."""
    size, steps = 32, 230
    ours, theirs = LSTM(SIZE, SIZE), nn.LSTM(SIZE, SIZE, batch_first=True)
    x, d_states = torch.randn(size, steps, SIZE, requires_grad=True), torch.randn(size, steps, SIZE)
    square = torch.randn(1024, 1024)

    def train(states: Tensor, cell: nn.Module) -> None:
        torch.autograd.grad(states, [x, *cell.parameters()], d_states)

    (peak, our_seconds, their_seconds), repeats = alternate(
        timed(lambda: square @ square, 2 * 1024**3),
        timed(lambda: train(ours(x), ours)),
        timed(lambda: train(theirs(x)[0], theirs)),
    )  # seconds per operation, per step, per step
    operations = 3 * 2 * size * steps * 4 * SIZE * (SIZE + SIZE)  # forward once, backward twice
    shares = [100 * operations * peak / seconds for seconds in (our_seconds, their_seconds)]
    title = f"LSTM, training step, {size} × {steps}: share of the speed of a 1024³ matrix product"
    return Row(title, shares[0], "%", "nn.LSTM", shares[1], shares[0] / shares[1], repeats)
