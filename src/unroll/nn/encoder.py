"""Encoders: from a sequence of vectors to one vector per step and one per sequence."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import Function

from unroll.checks import check_least
from unroll.nn.dropout import VariationalDropout
from unroll.nn.streams import concurrently

Layer = Callable[[Tensor], Tensor]  # x: (B, T, I) → (B, T, O)


class Encoder(Protocol):
    """Interface of the encoders: (x: (B, T, I), lengths: (B,)) → (outputs: (B, T, O), final: (B, O)).

    Sequences are padded on the right. The values of `outputs` at padding are unspecified; all other results are
    independent of the amount and the values of the padding. O is `output_size`. Raises as `check_sequences` does.
    """

    output_size: int

    def __call__(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]: ...


class FeedForwardEncoder(nn.Module):
    """No recurrence: outputs σ(W xᵢ + b) of each step, and σ(W x̄ + b) of the mean input x̄."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.hidden = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        check_sequences(x, lengths)
        mean = replace_padding(x, lengths, 0).sum(dim=1) / lengths[:, None]  # (B, I)
        return self.hidden(x).sigmoid(), self.hidden(mean).sigmoid()


class RecurrentEncoder(nn.Module):
    """Stacked, optionally bidirectional layers of one recurrent cell.

    A layer is LayerNorm(cell(dropout(x)) + x), with `dropout` between two layers only, LayerNorm (Ba et al. 2016) if
    `layer_norm`, and, if `residual`, x added where it has the size of the states. A bidirectional layer has two cells
    and concatenates their states. The final vector is the forward half of the outputs at the last token, concatenated
    with the backward half at the first.

    With `separate`, the directions are concatenated after the last layer only, as in ELMo (Peters et al. 2018): each is
    a stack of its own, whose outputs depend on the tokens on one side only, which a language model needs.

    Sequences are not packed. Padding on the right cannot reach a forward state; the backward cell reads each sequence
    reversed within its own length, which keeps the padding on the right.

    The contract of a cell: `cell(input_size, hidden_size)` returns a module that maps x (B, T, I) to the states
    (B, T, H), and only to these. It reads left to right from a zero state, so that a state depends on the inputs up to
    its own step, and it treats the sequences of a batch independently. It does not get the lengths.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell: Callable[[int, int], nn.Module],
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        layer_norm: bool = False,
        separate: bool = False,
    ) -> None:
        super().__init__()
        check_least(1, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self.output_size = hidden_size * (2 if bidirectional else 1)
        self.separate = separate and bidirectional
        width = hidden_size if self.separate else self.output_size  # of what a layer returns
        layers = range(num_layers)

        def cells() -> nn.ModuleList:
            return nn.ModuleList(cell(width if layer else input_size, hidden_size) for layer in layers)

        def norms() -> nn.ModuleList:
            return nn.ModuleList(nn.LayerNorm(width) if layer_norm else nn.Identity() for _ in layers)

        self.forward_cells = cells()
        self.backward_cells = cells() if bidirectional else nn.ModuleList()
        self.norms = norms()
        self.backward_norms = norms() if self.separate else nn.ModuleList()
        self.dropout = VariationalDropout(dropout)
        self.residual = residual

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        check_sequences(x, lengths)
        if not self.backward_cells:
            x = self._stack(self.forward_cells, self.norms, x)
            return x, final_vectors(x, lengths, directions=1)
        rows = reversed_rows(lengths, x.shape[1])  # once for all layers and gradients
        if self.separate:
            forwards = partial(self._stack, self.forward_cells, self.norms)
            x = _both(forwards, partial(self._stack, self.backward_cells, self.backward_norms), rows, x)
        else:
            cells = zip(self.forward_cells, self.backward_cells, strict=True)
            x = self._stack([partial(_both, *pair, rows) for pair in cells], self.norms, x)
        return x, final_vectors(x, lengths, directions=2)

    def _stack(self, layers: Iterable[Layer], norms: Iterable[Layer], x: Tensor) -> Tensor:
        """x: (B, T, I) → the outputs of the last of the layers."""
        for i, (layer, norm) in enumerate(zip(layers, norms, strict=True)):
            outputs = layer(self.dropout(x) if i else x)
            if self.residual and outputs.shape == x.shape:
                outputs = outputs + x
            x = norm(outputs)
        return x


def _both(forwards: Layer, backwards: Layer, rows: Tensor, x: Tensor) -> Tensor:
    """What two functions of sequences return side by side; the second reads them in reverse, by `reversed_rows`."""

    def backward() -> Tensor:
        states: Tensor = Reverse.apply(backwards(Reverse.apply(x, rows)), rows)
        return states

    return torch.cat(concurrently(lambda: forwards(x), backward, x, rows), dim=2)


def check_sequences(x: Tensor, lengths: Tensor) -> None:
    """Check x (B, T, I) and lengths (B,); values on a CPU only, since elsewhere that would wait for the device.

    Raises:
        ValueError: the number of lengths is not B, a length is not in 1 to T, or x is not finite before the padding.
    """
    if lengths.shape != x.shape[:1]:
        raise ValueError(f"lengths of shape {tuple(lengths.shape)}; accepted: ({len(x)},), one for each sequence of x")
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return
    wrong = (lengths < 1) | (lengths > x.shape[1])
    if wrong.any():
        i = int(wrong.nonzero()[0])
        raise ValueError(f"lengths[{i}]={lengths[i]}; accepted: 1 to {x.shape[1]}, the steps of x")
    if math.isfinite(x.detach().sum()):  # the usual case, found by one addition per element
        return
    broken = ~x.isfinite().all(dim=2) & padding_mask(lengths, x.shape[1])  # (B, T)
    if broken.any():
        i, step = broken.nonzero()[0].tolist()
        raise ValueError(f"x[{i}, {step}] is NaN or infinite; accepted: finite numbers")


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """lengths: (B,) → mask (B, T), True for a token, False for padding."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def replace_padding(x: Tensor, lengths: Tensor, value: float) -> Tensor:
    """x: (B, T, F), lengths: (B,) → x with `value` at padding."""
    mask = padding_mask(lengths, x.shape[1])[:, :, None]  # (B, T, 1)
    return torch.where(mask, x, value)  # faster than masked_fill


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """lengths: (B,) → indices (B, T) of the steps in reverse order within each sequence; padding stays where it is."""
    forwards = torch.arange(steps, device=lengths.device)
    return torch.where(padding_mask(lengths, steps), lengths[:, None] - 1 - forwards, forwards)


def reversed_rows(lengths: Tensor, steps: int) -> Tensor:
    """lengths: (B,) → for each row of x.flatten(0, 1) with x (B, T, F) the row that `Reverse` puts there, (B·T,)."""
    first = steps * torch.arange(len(lengths), device=lengths.device)
    return (reversal(lengths, steps) + first[:, None]).flatten()


class Reverse(Function):
    """x: (B, T, F), rows: (B·T,) from `reversed_rows` → each sequence of x reversed within its length.

    A reversal is its own inverse, so that the gradient is a reversal too; autograd would add it into a tensor of zeros.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return x.flatten(0, 1).index_select(0, rows).view_as(x)  # copies rows; gather copies elements

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return Reverse.apply(grad, rows), None


def final_vectors(outputs: Tensor, lengths: Tensor, directions: int) -> Tensor:
    """outputs: (B, T, D·H), lengths: (B,) → (B, D·H): each direction's state at the step it reads last."""
    halves = outputs.unflatten(2, (directions, -1))  # (B, T, D, H)
    last = torch.stack([lengths - 1, torch.zeros_like(lengths)][:directions], dim=1)  # (B, D)
    return halves.gather(1, last[:, None, :, None].expand(-1, 1, -1, halves.shape[3])).flatten(1)
