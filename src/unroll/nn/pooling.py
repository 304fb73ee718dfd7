"""Pooling: from the encoder's outputs to one vector per sequence, independent of the values at padding."""

from typing import Literal

import torch
from torch import Tensor, nn

from unroll.checks import check_choice
from unroll.nn.encoder import replace_padding

Pooling = Literal["last", "mean", "max", "attention", "concat"]


class SequencePooling(nn.Module):
    """Base class: (outputs: (B, T, O), final: (B, O), lengths: (B,)) → (B, `output_size`)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size


class LastPooling(SequencePooling):
    """The encoder's final state."""

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        return final


class MeanPooling(SequencePooling):
    """The mean of the outputs, Σᵢ sᵢ / length."""

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        return replace_padding(outputs, lengths, 0).sum(dim=1) / lengths[:, None]


class MaxPooling(SequencePooling):
    """The maximum of each feature, maxᵢ sᵢ."""

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        # The maximum is searched without gradients, since only its step has one.
        candidates = replace_padding(outputs.detach(), lengths, -torch.inf)  # (B, T, O)
        best = candidates.max(dim=1, keepdim=True).indices  # (B, 1, O); argmax is slower
        return outputs.gather(1, best).squeeze(1)


class AttentionPooling(SequencePooling):
    """Σᵢ αᵢ sᵢ, where α = softmax over i of vᵀ tanh(W sᵢ + b) (Yang et al. 2016), with learned v."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.projection = nn.Linear(size, size)  # W, b
        self.query = nn.Linear(size, 1, bias=False)  # v

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        outputs = replace_padding(outputs, lengths, 0)
        scores = self.query(self.projection(outputs).tanh())  # (B, T, 1)
        weights = replace_padding(scores, lengths, -torch.inf).softmax(dim=1)
        return (weights.mT @ outputs).squeeze(1)


class ConcatPooling(SequencePooling):
    """The final state, the mean and the maximum, concatenated (Howard and Ruder 2018)."""

    def __init__(self, size: int) -> None:
        super().__init__(3 * size)
        self.parts = nn.ModuleList([LastPooling(size), MeanPooling(size), MaxPooling(size)])

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([part(outputs, final, lengths) for part in self.parts], dim=1)


POOLINGS: dict[Pooling, type[SequencePooling]] = {
    "last": LastPooling,
    "mean": MeanPooling,
    "max": MaxPooling,
    "attention": AttentionPooling,
    "concat": ConcatPooling,
}


def build_pooling(pooling: Pooling, size: int) -> SequencePooling:
    """The pooling of this name for an encoder with outputs of size `size`."""
    check_choice("pooling", pooling, POOLINGS)
    return POOLINGS[pooling](size)
