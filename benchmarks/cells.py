"""Every cell's training step, from short to long sequences, in turn with our LSTM's."""

from collections.abc import Iterator
from functools import partial

import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from benchmarks.shipped import configuration
from benchmarks.timing import Row, alternate, rate_row, timed

CELLS = ("elman", "gru", "peephole_lstm", "min_gru", "min_lstm", "sru", "qrnn", "indrnn", "lru", "slstm")
BATCH = 8  # whatever the length
STEPS = (30, 230, 1000, 4000)
SIZE = 128  # of inputs and states


class Reference(nn.LSTM):
    """nn.LSTM with a cell's signature."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        states: Tensor = super().forward(x)[0]
        return states


def rows() -> Iterator[Row]:
    torch.manual_seed(0)
    lstm = shipped_cell("lstm")
    for steps in STEPS:
        yield compare("lstm", lstm, Reference(SIZE, SIZE, batch_first=True), "nn.LSTM", steps)
    for name in CELLS:
        for steps in STEPS:
            yield compare(name, shipped_cell(name), lstm, "our LSTM", steps)


def shipped_cell(name: str) -> nn.Module:
    """As conf/model/`name`.yaml has it."""
    cell: nn.Module = instantiate(configuration("model", name)["encoder"]["cell"])(SIZE, SIZE)
    return cell


def compare(name: str, ours: nn.Module, theirs: nn.Module, other: str, steps: int) -> Row:
    x, d_states = torch.randn(BATCH, steps, SIZE, requires_grad=True), torch.randn(BATCH, steps, SIZE)
    runs = [timed(partial(train, cell, x, d_states), BATCH * steps) for cell in (ours, theirs)]
    return rate_row(f"{name}, training step, {BATCH} × {steps}", "tokens", other, alternate(*runs))


def train(cell: nn.Module, x: Tensor, d_states: Tensor) -> None:
    """Forward and backward."""
    torch.autograd.grad(cell(x), [x, *cell.parameters()], d_states)
