"""The sums and the best paths of a linear-chain CRF by a loop over time, which is best on a CPU; see `unroll.nn.crf`.

In what follows `potentials_of` the batch is the last dimension, so that a step is contiguous and sums over labels are
vectorised.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from unroll.data.tokens import Posterior
from unroll.nn.crf_likelihood import Chain
from unroll.nn.encoder import padding_mask, reversal

SMALLEST_LOG_SUM = -60.0  # in a sum above e⁻⁶⁰ the terms that float32 rounds to zero, below e⁻⁸⁷, are negligible


def negative_log_likelihood(logits: Tensor, chain: Chain, labels: Tensor, lengths: Tensor) -> Tensor:
    """logits: (B, T, L), labels: (B, T), lengths: (B,) → -log p(y) (B,)."""
    potentials, transitions = potentials_of(logits, chain, lengths)
    log_z = LogPartition.apply(potentials, transitions, lengths)
    return log_z - _path_scores(potentials, transitions, labels, padding_mask(lengths, len(potentials)))


def log_partition(logits: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """logits: (B, T, L), lengths: (B,) → log Z (B,)."""
    return LogPartition.apply(*potentials_of(logits, chain, lengths), lengths)


def posterior(logits: Tensor, chain: Chain, lengths: Tensor) -> tuple[Posterior[Tensor], Tensor]:
    """logits: (B, T, L), lengths: (B,) → p(y) as a Markov chain, and log Z (B,)."""
    potentials, transitions = potentials_of(logits, chain, lengths)
    forward, message, backward = _forward_backward(potentials, transitions, lengths)
    marginals = (forward + message).softmax(dim=1).permute(2, 0, 1)  # (B, T, L)
    marginals = marginals.masked_fill(~padding_mask(lengths, len(forward))[:, :, None], 0)
    return Posterior(marginals, backward.permute(2, 0, 1), transitions), _log_z(forward, lengths)


def best_paths(logits: Tensor, chain: Chain, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """logits: (B, T, L), lengths: (B,) → best path (B, T), 0 at padding, and its score (B,)."""
    potentials, transitions = potentials_of(logits, chain, lengths)
    first, *others = potentials.unbind()
    best = [first]  # best[i][y]: score of the best path to label y at step i
    for step in others:
        best.append((best[-1][:, None] + transitions[:, :, None]).amax(dim=0).add_(step))
    # Backwards from the last step of each sequence; the padding comes after the first step.
    order = reversal(lengths, len(best)).T  # (T, B)
    last, *others = _take_steps(torch.stack(best), order).transpose(1, 2).contiguous().unbind()  # T of (B, L)
    path = [last.argmax(dim=1)]
    into = transitions.T.contiguous()  # [to, from]
    for scores in others:
        path.append((scores + into.index_select(0, path[-1])).argmax(dim=1))
    paths = torch.stack(path).gather(0, order).T  # (B, T)
    return paths.masked_fill(~padding_mask(lengths, len(best)), 0), last.amax(dim=1)


def readable(x: Tensor) -> bool:
    """Whether values can be checked without waiting for a device or breaking a traced graph."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def potentials_of(logits: Tensor, chain: Chain, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """logits: (B, T, L), lengths: (B,) → potentials (T, L, B), and transitions (L, L).

    Potentials are the logits plus start and end scores, 0 at padding.
    """
    start, transitions, end = chain.allowed(logits.dtype)
    padding = ~padding_mask(lengths, logits.shape[1]).T  # (T, B)
    potentials = logits.to(start.dtype).permute(1, 2, 0).contiguous().masked_fill(padding[:, None], 0)
    potentials[0] += start[:, None]
    potentials[lengths - 1, :, torch.arange(len(lengths), device=lengths.device)] += end
    return potentials, transitions


class LogPartition(torch.autograd.Function):
    """(potentials (T, L, B), transitions (L, L), lengths (B,)) → log Z (B,).

    The gradient is computed from the marginals, without a graph of the loop over time:
    ∂ log Z / ∂ potentialsᵢ(y) = p(yᵢ = y) and ∂ log Z / ∂ transitions(x, y) = Σ p(yᵢ₋₁ = x, yᵢ = y).
    """

    @staticmethod
    def forward(ctx: Any, potentials: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
        forward, message, backward = _forward_backward(potentials, transitions, lengths)
        ctx.save_for_backward(forward, message, backward, transitions, lengths)
        return _log_z(forward, lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        forward, message, backward, transitions, lengths = ctx.saved_tensors
        counts = (forward + message).softmax(dim=1) * gradient  # (T, L, B)
        weights = padding_mask(lengths - 1, len(forward) - 1).T * gradient  # (T - 1, B)
        return counts, _transition_counts(forward[:-1], transitions, backward[1:], weights), None


def _forward_backward(potentials: Tensor, transitions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Forward-backward algorithm. Returns three tensors (T, L, B), each up to a constant per step.

    forward: αᵢ(y) = potentialsᵢ(y) + log Σₓ exp(αᵢ₋₁(x) + transitions(x, y)),
    message: βᵢ(y) = log Σₓ exp(transitions(y, x) + potentialsᵢ₊₁(x) + βᵢ₊₁(x)), and
    backward: potentialsᵢ(y) + βᵢ(y).

    The second recursion is the first one on the reversed sequence, so that one loop runs both.
    """
    order = reversal(lengths, len(potentials)).T  # (T, B)
    steps = torch.stack([potentials, _take_steps(potentials, order)], dim=1)  # (T, 2, L, B)
    weights = torch.stack([transitions.T, transitions])  # (2, to, from)
    messages = _messages_by_products(steps, weights)
    if messages is None:
        messages = _messages(steps, weights)
    from_left, from_right = messages[:, 0], _take_steps(messages[:, 1], order)  # (T, L, B)
    return from_left + potentials, from_right, from_right + potentials


def _messages(steps: Tensor, weights: Tensor) -> Tensor:
    """steps: (T, D, L, B), weights: (D, L to, L from) → log Σₓ exp(scoresᵢ₋₁(x) + weights(y, x)), (T, D, L, B).

    scoresᵢ = messageᵢ + stepᵢ, normalised over the labels at each step so that they do not grow with T. The first
    message is 0.
    """
    messages = [torch.zeros_like(steps[0])]
    for step in steps[:-1]:
        scores = (messages[-1] + step).log_softmax(dim=1)[:, None]
        messages.append((scores + weights[..., None]).logsumexp(dim=2))
    return torch.stack(messages)


def _messages_by_products(steps: Tensor, weights: Tensor) -> Tensor | None:
    """`_messages` by a matrix product per step, which is many times faster; None if that may be inexact.

    A product has one common scale for its terms, and float32 rounds those below e⁻⁸⁷ to zero.
    """
    if not readable(steps):
        return None
    messages = [torch.zeros_like(steps[0])]
    largest = weights.amax()
    factors = (weights - largest).exp()
    with torch.autocast(steps.device.type, enabled=False):
        for step in steps[:-1]:
            messages.append(torch.bmm(factors, (messages[-1] + step).softmax(dim=1)).log_())
    found = torch.stack(messages)
    if not (found > SMALLEST_LOG_SUM).all():  # or NaN
        return None
    found[1:] += largest
    return found


def _log_z(forward: Tensor, lengths: Tensor) -> Tensor:
    """log Z (B,): the sum over steps of the logarithms of their normalisers."""
    padding = ~padding_mask(lengths, len(forward)).T
    return forward.logsumexp(dim=1).masked_fill(padding, 0).sum(dim=0)


def _transition_counts(before: Tensor, transitions: Tensor, after: Tensor, weights: Tensor) -> Tensor:
    """Sum over sequences and steps of weight (T - 1, B) · p(yᵢ₋₁ = x, yᵢ = y), (L, L).

    before: forward scores of step i - 1, after: backward scores of step i, (T - 1, L, B) each.
    """
    counts = _counts_by_products(before, transitions, after, weights)
    if counts is not None:
        return counts
    pairs = (before[:, :, None] + transitions[:, :, None] + after[:, None]).flatten(1, 2).softmax(dim=1)  # (., L², B)
    pairs = (pairs * weights[:, None]).masked_fill(weights[:, None] == 0, 0)  # padding may be NaN
    return pairs.sum(dim=(0, 2)).view_as(transitions)


def _counts_by_products(before: Tensor, transitions: Tensor, after: Tensor, weights: Tensor) -> Tensor | None:
    """`_transition_counts` by matrix products; None if that may be inexact, see `_messages_by_products`."""
    if not readable(before):
        return None
    factors = (transitions - transitions.amax()).exp()
    before, after = (x.transpose(0, 1).flatten(1).softmax(dim=0) for x in (before, after))  # (L, (T - 1) B)
    with torch.autocast(before.device.type, enabled=False):
        totals = (factors.T @ before * after).sum(dim=0)
        if not (totals.log() > SMALLEST_LOG_SUM).all():
            return None
        return factors * (before * (weights.flatten() / totals) @ after.T)


def _path_scores(potentials: Tensor, transitions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """s(y) (B,) of the label sequences `labels` (B, T)."""
    labels, mask = labels.masked_fill(~mask, 0).T, mask.T
    steps = potentials.gather(1, labels[:, None])[:, 0]  # (T, B)
    moves = transitions[labels[:-1], labels[1:]].masked_fill(~mask[1:], 0)  # (T - 1, B)
    return steps.sum(dim=0) + moves.sum(dim=0)


def _take_steps(x: Tensor, steps: Tensor) -> Tensor:
    """x: (T, L, B), steps: (T', B) → x at the steps given for each sequence, (T', L, B)."""
    return x.gather(0, steps[:, None].expand(-1, x.shape[1], -1))
