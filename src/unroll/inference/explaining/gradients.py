"""How far the output feels each token: ‖∂y/∂xᵢ‖, for one text and on average over many."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unroll.checks import check_least
from unroll.data.batches import collate
from unroll.data.padding import cut
from unroll.data.prepared import EncodedSplit
from unroll.inference.explaining.reading import (
    BATCH_TOKENS,
    at_step,
    batches,
    explained_labels,
    is_per_token,
    read_vectors,
)
from unroll.nn import SequenceModel
from unroll.nn.encoder import padding_mask

STEPS = 16  # of a text that are differentiated for the mean; a gradient of each would be quadratic in its length


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """The mean of ‖∂y/∂xᵢ‖ over texts, by the distance of token i from the output y.

    Args:
        distances: (D,), ascending. Of the last token of a classified text it is 0. For labels of tokens, it is that of
            token i from the labelled token, negative if token i comes later.
        means: (D,).
        counts: (D,) the number of gradients in each mean, at least 1.
        texts: the number of texts.
    """

    distances: np.ndarray
    means: np.ndarray
    counts: np.ndarray
    texts: int


def gradient_norms(model: SequenceModel, x: Tensor, lengths: Tensor, labels: Tensor, steps: Tensor) -> Tensor:
    """‖∂y/∂xᵢ‖, (B, T), where y are the scores of the `labels` (B,).

    Args:
        x: the vectors of the tokens, (B, T, E).
        steps: (B,) the tokens that have these scores, if tokens are labelled.
    """
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        scores = read_vectors(model, x, lengths).scores
        scores = at_step(scores, steps) if is_per_token(model) else scores  # (B, L)
        (gradient,) = torch.autograd.grad(at_step(scores, labels).sum(), x)
    return torch.linalg.vector_norm(gradient, dim=2)


def sensitivity(model: SequenceModel, x: Tensor, labels: Tensor) -> Tensor:
    """‖∂y/∂xᵢ‖ of one text, x: (1, T, E): for each of the labels, (1, T) or (T, T)."""
    length = x.shape[1]
    parts = []
    for part in batches([length] * len(labels)):
        count = len(labels[part])
        lengths, steps = torch.full((count,), length), torch.arange(len(labels))[part]
        parts.append(gradient_norms(model, x.expand(count, -1, -1), lengths, labels[part], steps))
    return torch.cat(parts)


def mean_sensitivity(model: SequenceModel, split: EncodedSplit, texts: int = 200) -> Sensitivity:
    """The mean over texts of a split of how far the output feels a token, by its distance from the output.

    The output of a text is the score of the label that the network finds most probable. For labels of tokens, those of
    at most STEPS tokens, evenly spaced in their text, are used.

    Args:
        texts: the number of texts, evenly spaced in the split; all if it has fewer.

    Raises:
        ValueError: `texts` is below 1, or the split is empty.
    """
    check_least(1, texts=texts)
    if not len(split):
        raise ValueError("a split without texts; accepted: one with texts")
    chosen = np.unique(np.linspace(0, len(split) - 1, min(texts, len(split))).round().astype(int))
    order = chosen[np.argsort(split.lengths[chosen], kind="stable")]
    longest = int(split.lengths[order[-1]])
    sums, counts = np.zeros(2 * longest), np.zeros(2 * longest, np.int64)  # of the distances from -longest on
    for index in cut(order, split.lengths, BATCH_TOKENS, BATCH_TOKENS):
        tokens = collate(split, index, characters=model.reads_characters).tokens
        with torch.no_grad():
            x = model.embedding(tokens)
            scores = read_vectors(model, x, tokens.lengths).scores
            labels = explained_labels(model, scores, tokens.lengths)
        rows, steps = _outputs(model, tokens.lengths)
        labels = labels[rows, steps] if is_per_token(model) else labels
        lengths = tokens.lengths[rows]
        for part in batches(lengths.tolist()):
            width = int(lengths[part][-1])
            norms = gradient_norms(model, x[rows[part], :width], lengths[part], labels[part], steps[part])
            mask = padding_mask(lengths[part], width)
            distances = (steps[part][:, None] - torch.arange(width) + longest)[mask].numpy()
            sums += np.bincount(distances, norms[mask].double().numpy(), minlength=len(sums))
            counts += np.bincount(distances, minlength=len(counts))
    found = np.flatnonzero(counts)
    return Sensitivity(found - longest, sums[found] / counts[found], counts[found], len(chosen))


def _outputs(model: SequenceModel, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The sequences (N,) of a batch, and the steps (N,) of the outputs that are differentiated."""
    if not is_per_token(model):
        return torch.arange(len(lengths)), lengths - 1
    steps = [np.unique(np.linspace(0, it - 1, min(it, STEPS)).round().astype(int)) for it in lengths.tolist()]
    rows = np.repeat(np.arange(len(steps)), list(map(len, steps)))
    return torch.from_numpy(rows), torch.from_numpy(np.concatenate(steps))
