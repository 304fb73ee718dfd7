"""Encoders: a sequence of vectors in, a vector for every step and one for the whole out."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import Function

from unroll.nn.dropout import VariationalDropout


class Encoder(Protocol):
    """What every encoder does: (x: (B, T, I), lengths: (B,)) → (outputs: (B, T, O), final: (B, O)).

    `outputs` at padding is unspecified; nothing else depends on how much padding there is. O is `output_size`.
    Input that `check_sequences` refuses is a ValueError.
    """

    output_size: int

    def __call__(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]: ...


class FeedForwardEncoder(nn.Module):
    """No recurrence: σ(W xᵢ + b) at every step, and σ(W x̄ + b) of the mean input for the whole."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.hidden = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        check_sequences(x, lengths)
        mask = padding_mask(lengths, x.shape[1])[:, :, None]  # (B, T, 1)
        mean = torch.where(mask, x, 0).sum(dim=1) / lengths[:, None]  # (B, I)
        return self.hidden(x).sigmoid(), self.hidden(mean).sigmoid()


class RecurrentEncoder(nn.Module):
    """Layers of one recurrence, read left to right or both ways.

    A layer is LayerNorm(cell(dropout(x)) + x): of a bidirectional one, the states of both readers stand next to
    each other. The final vector is the forward half of the outputs at the last real token, next to the backward
    half at the first.

    No sequence is packed. Padding stands on the right, where it cannot reach a forward state; the backward
    reader gets each sequence reversed within its own length, which again leaves the padding on the right.

    Args:
        cell: called with (input_size, hidden_size), gives a module (B, T, I) → states (B, T, H) that reads left
            to right.
        dropout: on what a layer hands to the next, one mask a sequence (Gal and Ghahramani 2016).
        residual: adds a layer's input to its output where both are of one size.
        layer_norm: normalises a layer's output over its features (Ba et al. 2016).

    Raises:
        ValueError: a size is below 1, or `dropout` is not a share.
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
    ) -> None:
        super().__init__()
        for name, value in {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}.items():
            if value < 1:
                raise ValueError(f"{name}={value}; accepted: 1 or more")
        self.output_size = hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        self.forward_cells = nn.ModuleList(cell(size, hidden_size) for size in sizes)
        self.backward_cells = nn.ModuleList(cell(size, hidden_size) for size in sizes if bidirectional)
        self.norms = nn.ModuleList(nn.LayerNorm(self.output_size) if layer_norm else nn.Identity() for _ in sizes)
        self.dropout = VariationalDropout(dropout)
        self.residual = residual

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        check_sequences(x, lengths)
        ends = reversal(lengths, x.shape[1])  # (B, T)
        for i, norm in enumerate(self.norms):
            outputs = self.read(i, self.dropout(x) if i else x, ends)  # (B, T, O)
            if self.residual and outputs.shape == x.shape:
                outputs = outputs + x
            x = norm(outputs)
        return x, final_vectors(x, lengths, directions=2 if self.backward_cells else 1)

    def read(self, layer: int, x: Tensor, ends: Tensor) -> Tensor:
        """x: (B, T, I), ends: (B, T) → the states of the layer's readers, (B, T, O)."""
        states: Tensor = self.forward_cells[layer](x)  # (B, T, H)
        if not self.backward_cells:
            return states
        backward = Reverse.apply(self.backward_cells[layer](Reverse.apply(x, ends)), ends)  # (B, T, H)
        return torch.cat([states, backward], dim=2)


def check_sequences(x: Tensor, lengths: Tensor) -> None:
    """Refuses what would otherwise come out as an error far away, or as numbers that mean nothing.

    Values are read on the CPU alone: elsewhere that would make the program wait for the device.

    Raises:
        ValueError: lengths are not of as many sequences as x, one is not of 1 to T steps, or a real token of x
            is not finite.
    """
    if lengths.shape != x.shape[:1]:
        raise ValueError(f"lengths of shape {tuple(lengths.shape)}; accepted: ({len(x)},), one for each sequence of x")
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return
    wrong = (lengths < 1) | (lengths > x.shape[1])
    if wrong.any():
        i = int(wrong.nonzero()[0])
        raise ValueError(f"lengths[{i}]={lengths[i]}; accepted: 1 to {x.shape[1]}, the steps of x")
    if math.isfinite(x.detach().sum()):  # the usual case, at the price of one addition a number
        return
    broken = ~x.isfinite().all(dim=2) & padding_mask(lengths, x.shape[1])  # (B, T)
    if broken.any():
        i, step = broken.nonzero()[0].tolist()
        raise ValueError(f"x[{i}, {step}] holds NaN or infinity; accepted: finite numbers")


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """lengths: (B,) → (B, T), True for a real token."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """lengths: (B,) → (B, T): the step that comes to each place when every sequence is reversed in itself."""
    places = torch.arange(steps, device=lengths.device)
    return torch.where(padding_mask(lengths, steps), lengths[:, None] - 1 - places, places)


class Reverse(Function):
    """x: (B, T, F), ends: (B, T) from `reversal` → each sequence of x reversed in itself.

    A reversal is its own inverse, so gradients come back by the same copy of rows; autograd would add them into zeros.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, ends: Tensor) -> Tensor:
        ctx.save_for_backward(ends)
        batch, steps = ends.shape
        rows = ends + steps * torch.arange(batch, device=ends.device)[:, None]
        return x.flatten(0, 1).index_select(0, rows.flatten()).view_as(x)  # whole rows: gather takes number by number

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (ends,) = ctx.saved_tensors
        return Reverse.apply(grad, ends), None


def final_vectors(outputs: Tensor, lengths: Tensor, directions: int) -> Tensor:
    """outputs: (B, T, D·H), lengths: (B,) → (B, D·H): each reader's half at the step it reads last."""
    halves = outputs.unflatten(2, (directions, -1))  # (B, T, D, H)
    last = torch.stack([lengths - 1, torch.zeros_like(lengths)][:directions], dim=1)  # (B, D)
    return halves.gather(1, last[:, None, :, None].expand(-1, 1, -1, halves.shape[3])).flatten(1)
