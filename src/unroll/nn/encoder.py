"""Encoders: a sequence of vectors in, a vector for every step and one for the whole out."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Encoder(Protocol):
    """What every encoder does: (x: (B, T, I), lengths: (B,)) → (outputs: (B, T, O), final: (B, O)).

    `outputs` at padding is unspecified; nothing else depends on how much padding there is. O is `output_size`.
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
        mask = padding_mask(lengths, x.shape[1])  # (B, T)
        mean = (x * mask[:, :, None]).sum(dim=1) / lengths[:, None]  # (B, I)
        return self.hidden(x).sigmoid(), self.hidden(mean).sigmoid()


class RecurrentEncoder(nn.Module):
    """Layers of one recurrence, read left to right or both ways.

    The final state is the one after the last real token, next to the backward reader's after the first.

    Args:
        cell: called with (input_size, hidden_size), gives a module (B, T, I) → states (B, T, H), last (B, H)
            that reads left to right.
        dropout: between layers.

    No sequence is packed. Padding stands on the right, where it cannot reach a forward state; the backward
    reader gets each sequence reversed within its own length, which again leaves the padding on the right.

    Raises:
        ValueError: `num_layers` or `hidden_size` is below 1.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell: Callable[[int, int], nn.Module],
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers={num_layers}; accepted: 1 or more")
        if hidden_size < 1:
            raise ValueError(f"hidden_size={hidden_size}; accepted: 1 or more")
        self.output_size = hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        self.forward_cells = nn.ModuleList(cell(size, hidden_size) for size in sizes)
        self.backward_cells = nn.ModuleList(cell(size, hidden_size) for size in sizes if bidirectional)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        ends = reversal(lengths, x.shape[1])  # (B, T)
        for i, forward_cell in enumerate(self.forward_cells):
            x = self.dropout(x) if i else x
            outputs, _ = forward_cell(x)  # (B, T, H)
            final = outputs[torch.arange(len(x), device=x.device), lengths - 1]  # (B, H)
            if self.backward_cells:
                reversed_outputs, _ = self.backward_cells[i](take_steps(x, ends))
                backward = take_steps(reversed_outputs, ends)  # (B, T, H)
                outputs = torch.cat([outputs, backward], dim=2)  # (B, T, 2H)
                final = torch.cat([final, backward[:, 0]], dim=1)  # (B, 2H)
            x = outputs
        return outputs, final


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """lengths: (B,) → (B, T), True for a real token."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """lengths: (B,) → (B, T): the step that comes to each place when every sequence is reversed in itself."""
    places = torch.arange(steps, device=lengths.device)
    return torch.where(padding_mask(lengths, steps), lengths[:, None] - 1 - places, places)


def take_steps(x: Tensor, steps: Tensor) -> Tensor:
    """x: (B, T, I), steps: (B, T) → x at those steps, (B, T, I)."""
    return x.gather(1, steps[:, :, None].expand_as(x))
