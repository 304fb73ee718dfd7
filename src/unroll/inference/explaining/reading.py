"""What a network computes between the vectors of tokens and the scores of labels, for the explanations."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unroll.nn import RecurrentEncoder, SequenceModel
from unroll.nn.heads import ClassificationHead, Head, SoftmaxHead

BATCH_TOKENS = 16384  # bounds the memory of a batch


class Reading(NamedTuple):
    """What a head makes of B sequences.

    Args:
        states: (B, O), or at every step (B, T, O): the vectors s in the scores V s + c.
        scores: (B, L), or (B, T, L).
    """

    states: Tensor
    scores: Tensor


def read_outputs(head: Head, outputs: Tensor, final: Tensor, lengths: Tensor) -> Reading:
    """What the head reads of the encoder's outputs; the arguments are those of a head."""
    assert isinstance(head, ClassificationHead | SoftmaxHead)  # all heads are
    states = head.pooling(outputs, final, lengths) if isinstance(head, ClassificationHead) else outputs
    return Reading(states, head.output(states))


def bias_of(model: SequenceModel) -> Tensor:
    """The c in the scores V s + c, (L,)."""
    assert isinstance(model.head, ClassificationHead | SoftmaxHead)
    return model.head.output.bias.detach()


def read_vectors(model: SequenceModel, x: Tensor, lengths: Tensor) -> Reading:
    """Read the vectors x (B, T, E) of tokens."""
    return read_outputs(model.head, *model.encoder(x, lengths), lengths)


def explained_labels(model: SequenceModel, scores: Tensor, lengths: Tensor) -> Tensor:
    """scores (B, L) → the most probable labels (B,); scores (B, T, L) → those that the head decodes, (B, T)."""
    return model.head.decode(scores, lengths) if is_per_token(model) else scores.argmax(dim=1)


def is_per_token(model: SequenceModel) -> bool:
    """Whether the network labels tokens."""
    return isinstance(model.head, SoftmaxHead)


def is_causal(model: SequenceModel) -> bool:
    """Whether an output of the encoder depends on no later token, so that all prefixes of a text share one pass.

    The final vector of a `FeedForwardEncoder`, which has no recurrence, is of the mean of all tokens.
    """
    return isinstance(model.encoder, RecurrentEncoder) and not model.encoder.backward_cells


def at_step(values: Tensor, steps: Tensor) -> Tensor:
    """values: (B, T, …), steps: (B,) → (B, …)."""
    return values[torch.arange(len(steps)), steps]


def batches(lengths: Sequence[int]) -> Iterator[slice]:
    """Divide sequences, the shortest first, into batches of at most BATCH_TOKENS tokens with padding."""
    start = 0
    while start < len(lengths):
        end = start + 1
        while end < len(lengths) and lengths[end] * (end + 1 - start) <= BATCH_TOKENS:
            end += 1
        yield slice(start, end)
        start = end
