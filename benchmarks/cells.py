"""Training step of each recurrent cell next to the package's LSTM, for short to long sequences."""

from collections.abc import Iterator
from functools import partial

import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from benchmarks.shipped import configuration
from benchmarks.timing import Row, alternate, rate_row, timed

CELLS = ("elman", "gru", "peephole_lstm", "min_gru", "min_lstm", "sru", "qrnn", "indrnn", "lru", "slstm")
BATCH = 8  # for all lengths
STEPS = (30, 230, 1000, 4000)
SIZE = 128  # of inputs and hidden states


class Reference(nn.LSTM):
    """nn.LSTM with the signature of the package's cells: (B, T, I) → (B, T, H)."""

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
    """The cell that conf/model/`name`.yaml configures."""
    cell: nn.Module = instantiate(configuration("model", name)["encoder"]["cell"])(SIZE, SIZE)
    return cell


def compare(name: str, ours: nn.Module, theirs: nn.Module, other: str, steps: int) -> Row:
    x, d_states = torch.randn(BATCH, steps, SIZE, requires_grad=True), torch.randn(BATCH, steps, SIZE)
    runs = [timed(partial(train, cell, x, d_states), BATCH * steps) for cell in (ours, theirs)]
    return rate_row(f"{name}, training step, {BATCH} × {steps}", "tokens", other, alternate(*runs))


def train(cell: nn.Module, x: Tensor, d_states: Tensor) -> None:
    """Forward and backward pass."""
    torch.autograd.grad(cell(x), [x, *cell.parameters()], d_states)
