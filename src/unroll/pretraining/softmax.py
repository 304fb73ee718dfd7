"""The softmax over a large vocabulary: estimated from a sample of the words in training, complete for perplexity."""

from typing import Any, Generic, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from unroll.checks import check_least
from unroll.data.tokens import UNKNOWN, Array
from unroll.nn.gates import at_least_float32

CHUNK = {"cpu": 1 << 21}  # scores at a time, which fit into the caches of a processor; on other devices:
LARGE_CHUNK = 1 << 28


class Negatives(NamedTuple, Generic[Array]):
    """S words, in ascending order, and the logarithm of the probability that each had to be among them."""

    words: Array
    log_probability: Array


class Sampler:
    """Draws words other than the padding, frequent ones more often.

    The word of rank k, from 1, is drawn with probability min(1, c / k), with c such that `samples` words are drawn. The
    most frequent are therefore always among them, which makes estimates much more exact than draws with replacement.
    One word is drawn from each of `samples` equal slices of the cumulative probability, so that a word may be drawn
    twice where it is in two slices; the expected number of draws is exact.

    Args:
        vocabulary_size: number of words by descending frequency, after the padding.
        samples: number of draws; all words if there are not as many.
    """

    def __init__(self, vocabulary_size: int, samples: int) -> None:
        check_least(1, samples=samples)
        classes = vocabulary_size - UNKNOWN
        self.samples = min(samples, classes)
        self.probability = inclusion_probability(classes, self.samples)
        self._cumulative = np.cumsum(self.probability)

    def draw(self, generator: np.random.Generator) -> Negatives[np.ndarray]:
        places = np.arange(self.samples) + generator.random(self.samples)
        drawn = np.searchsorted(self._cumulative, places, side="right").clip(max=len(self.probability) - 1)
        return Negatives(drawn + UNKNOWN, np.log(self.probability[drawn]).astype(np.float32))


def inclusion_probability(classes: int, samples: int) -> np.ndarray:
    """min(1, c / k) for k = 1 to `classes`, with the sum `samples`."""
    ranks = np.arange(1, classes + 1)
    certain = np.arange(classes)  # how many have the probability 1
    tail = np.cumsum((1 / ranks)[::-1])[::-1]  # of 1 / k from each rank on
    c = (samples - certain) / tail
    first = int(np.argmax(c <= ranks))  # the others are below 1
    return np.where(certain < first, 1.0, np.minimum(c[first] / ranks, 1.0)) if samples < classes else np.ones(classes)


def sampled_loss(
    vectors: Tensor, targets: Tensor, negatives: Negatives[Tensor], weight: Tensor, bias: Tensor
) -> Tensor:
    """The mean of −log p of the targets, with the softmax's denominator estimated from the negatives.

    The denominator Σₖ exp(sₖ) is estimated by exp(s_y) + Σ exp(sₖ) / πₖ over the negatives k other than the target y,
    which were drawn with probability πₖ (the correction of sₖ by −log πₖ of Jean et al. 2015). The expectation is the
    exact denominator, and with all words as negatives so is the estimate. The cost for each of N vectors is 6 S E
    floating-point operations, forward and backward, in place of 6 V E.

    Args:
        vectors: (N, E).
        targets: (N,), entries of the vocabulary.
        weight, bias: (V, E) and (V,), of the scores.
    """
    words = torch.cat([targets, negatives.words])
    rows = torch.nn.functional.embedding(words, weight)  # both at once: the gradient is one array like `weight`
    biases = torch.nn.functional.embedding(words, bias[:, None])[:, 0]
    own, others = rows.split([len(targets), len(negatives.words)])
    own_bias, other_bias = biases.split([len(targets), len(negatives.words)])
    scores = (vectors * own).sum(dim=1) + own_bias
    last = torch.searchsorted(negatives.words, targets, right=True)
    times = last - torch.searchsorted(negatives.words, targets)  # how often a target is among the negatives
    place = (last - 1).clamp(min=0)
    return _SampledLoss.apply(vectors, scores, others, other_bias - negatives.log_probability, place, times)


class _SampledLoss(torch.autograd.Function):
    """The loss and its gradient in one pass over the scores (N, S), of which only a chunk is in memory."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, own: Tensor, rows: Tensor, biases: Tensor, place: Tensor, times: Tensor
    ) -> Tensor:
        """own: (N,) scores of the targets; rows: (S, E), biases: (S,); place, times: (N,) → ()."""
        size = max(1, CHUNK.get(vectors.device.type, LARGE_CHUNK) // len(rows))
        d_vectors, d_own = torch.empty_like(vectors), torch.empty_like(own)
        d_rows, d_biases = torch.zeros_like(rows), torch.zeros_like(biases)
        losses = []
        for start in range(0, len(vectors), size):
            part = slice(start, start + size)
            x, y = vectors[part], own[part]
            scores = at_least_float32(torch.addmm(biases, x, rows.t()))  # (n, S)
            highest = torch.maximum(scores.amax(dim=1), y)
            exponentials = scores.sub_(highest[:, None]).exp_()
            mine = (y - highest).exp()
            # A target among the negatives is taken out of the sums, here and in the gradient of its own score, which is
            # one vector, rather than out of all scores.
            mine -= exponentials.gather(1, place[part, None])[:, 0] * times[part]
            total = exponentials.sum(dim=1) + mine
            losses.append(total.log() + highest - y)
            scale = (total * len(vectors)).reciprocal()
            d_own[part] = mine * scale - 1 / len(vectors)
            d_vectors[part] = (exponentials @ rows) * scale[:, None]
            d_rows += exponentials.t() @ (x * scale[:, None])
            d_biases += scale @ exponentials
        ctx.save_for_backward(d_vectors, d_own, d_rows, d_biases)
        return torch.cat(losses).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * it for it in ctx.saved_tensors), None, None


def full_loss(vectors: Tensor, targets: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The sum of −log p of the targets, with all words but the padding in the denominator; without a gradient."""
    size = max(1, LARGE_CHUNK // 8 // len(weight))
    total = vectors.new_zeros(())
    with torch.no_grad():
        for x, y in zip(vectors.split(size), targets.split(size), strict=True):
            scores = torch.addmm(bias[UNKNOWN:], x, weight[UNKNOWN:].t())  # (n, V - 1)
            own = scores.gather(1, y[:, None] - UNKNOWN)[:, 0]
            total += (scores.logsumexp(dim=1) - own).sum()
    return total
