"""A linear-chain CRF in about log₂ T sweeps, for devices other than a CPU that have no kernels; see `unroll.nn.crf`.

Step i as a matrix has the elements transitions(x, y) + potentialsᵢ(y). With log Σ exp of sums in place of sums of
products, as in `torch.logsumexp`, matrix products of steps are associative: on the way up a binary tree each node
multiplies the two below it, and on the way down each gets the scores of all that precedes it. For the best path the
maximum takes the place of log Σ exp.

Every sum is by log Σ exp and every level is normalised, so that the results are as exact as the loop's.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from unroll.nn.crf_likelihood import Chain, Gradients
from unroll.nn.encoder import padding_mask

MOST_LABELS = 64  # beyond it the products, of O(L³) each, cost more than the launches of a loop over time
MOST_ELEMENTS = 2**25  # of an intermediate tensor, 128 MiB in float32; what is larger is computed in parts

Reduce = Callable[[Tensor, int], Tensor]


def forward_backward(logits: Tensor, chain: Chain, labels: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """See `Way`."""
    parts = [
        _forward_backward(logits[part], chain, None if labels is None else labels[part], lengths[part])
        for part in _parts(logits)
    ]
    scores, losses = zip(*parts, strict=True)
    return _joined(list(scores), dim=1), _joined(list(losses))


def gradients(scores: Tensor, chain: Chain, labels: Tensor | None, lengths: Tensor, weights: Tensor) -> Gradients:
    """See `Way`."""
    unary, pairs = [], []
    for part in _parts(scores[0]):
        first, moves = _probabilities(scores[:, part], chain, lengths[part])
        if labels is not None:
            gold = _one_hot(labels[part], lengths[part], first.shape[-1], first.dtype)  # (B, T, L)
            first = first - gold[:, 0]
            moves = moves - gold[:, :-1, :, None] * gold[:, 1:, None]
        own = weights[part, None, None]
        unary.append(torch.cat([first[:, None], moves.sum(dim=2)], dim=1) * own)
        pairs.append((moves * own[..., None]).sum(dim=(0, 1)))
    by_logits, by_transitions = _joined(unary), torch.stack(pairs).sum(dim=0)
    steps = by_logits.shape[1]
    is_last = torch.arange(steps, device=lengths.device) == lengths[:, None] - 1
    by_start, by_end = by_logits[:, 0].sum(dim=0), (by_logits * is_last[..., None]).sum(dim=(0, 1))
    if chain.forbidden_starts is not None and chain.forbidden_transitions is not None:
        by_start = by_start.masked_fill(chain.forbidden_starts, 0)
        by_transitions = by_transitions.masked_fill(chain.forbidden_transitions, 0)
    return Gradients(by_logits, by_start, by_transitions, by_end)


def marginals(scores: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """See `Way`."""
    found = []
    for part in _parts(scores[0]):
        first, moves = _probabilities(scores[:, part], chain, lengths[part])
        found.append(torch.cat([first[:, None], moves.sum(dim=2)], dim=1))
    return _joined(found)


def best_paths(logits: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """See `Way`."""
    return _joined([_best_paths(logits[part], chain, lengths[part]) for part in _parts(logits)])


def _parts(x: Tensor) -> list[slice]:
    """x: (B, T, L) → slices of sequences of which each has at most `MOST_ELEMENTS` elements of (B, T, L, L)."""
    size = max(1, MOST_ELEMENTS // (x[0].numel() * x.shape[2]))
    return [slice(begin, begin + size) for begin in range(0, len(x), size)]


def _joined(parts: list[Tensor], dim: int = 0) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)  # a copy


def _forward_backward(logits: Tensor, chain: Chain, labels: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor]:
    potentials, transitions = _potentials(logits, chain, lengths)
    levels, totals = _products(_leaves(potentials, transitions, lengths), _log_sum_exp)
    # The scores of all that follows are those of all that precedes in the reversed chain: all nodes are transposed.
    both = [torch.cat([nodes, nodes.mT.flip(1)]) for nodes in levels]
    first = torch.cat([potentials[:, 0], torch.zeros_like(potentials[:, 0])])
    steps = potentials.shape[1]
    before, last = _preceding(both, first, _log_sum_exp)
    forward, after = before.chunk(2)
    to_last, to_first = last.chunk(2)
    forward = torch.cat([forward[:, : steps - 1], to_last[:, None]], dim=1)
    message = torch.cat([to_first[:, None], after.flip(1)[:, : steps - 1]], dim=1)
    mask = padding_mask(lengths, steps)[..., None]
    scores = torch.where(mask, torch.stack([_normalised(forward), message + potentials]), 0)
    losses = totals + _log_sum_exp(to_last, 1)
    if labels is not None:
        losses = losses - _path_scores(potentials, transitions, labels, lengths)
    return scores, losses


def _potentials(logits: Tensor, chain: Chain, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Potentials (B, T, L), the logits plus start and end scores, 0 at padding; and transitions (L, L)."""
    start, transitions, end = chain.allowed(logits.dtype)
    steps = torch.arange(logits.shape[1], device=lengths.device)[:, None]  # (T, 1)
    last = lengths[:, None, None] - 1
    potentials = torch.where(steps <= last, logits.to(start.dtype), 0) + torch.where(steps == 0, start, 0)
    return potentials + torch.where(steps == last, end, 0), transitions


def _leaves(potentials: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
    """The steps after the first as matrices (B, N, L, L), N a power of two; the one of multiplication at padding."""
    steps, num_labels = potentials.shape[1:]
    nodes = 1 << max(steps - 2, 0).bit_length()  # at least T - 1
    padded = torch.nn.functional.pad(potentials[:, 1:], (0, 0, 0, nodes - steps + 1))  # (B, N, L)
    one = torch.eye(num_labels, dtype=potentials.dtype, device=potentials.device).log()  # 0 and -∞
    mask = padding_mask(lengths - 1, nodes)[..., None, None]
    return torch.where(mask, transitions + padded[:, :, None], one)


def _products(nodes: Tensor, reduce: Reduce) -> tuple[list[Tensor], Tensor]:
    """nodes: (B, N, L, L) → the levels of the tree from the leaves, each up to a constant, and their sum (B,)."""
    levels: list[Tensor] = []
    totals = nodes.new_zeros(1)
    while True:
        peaks = _peaks(nodes, 2, 3)
        totals = totals + peaks[..., 0, 0]
        levels.append(nodes - peaks)
        if nodes.shape[1] == 1:
            return levels, totals[:, 0]
        totals = totals[:, 0::2] + totals[:, 1::2]
        nodes = _product(levels[-1][:, 0::2], levels[-1][:, 1::2], reduce)


def _product(left: Tensor, right: Tensor, reduce: Reduce) -> Tensor:
    """The reduction over z of left(x, z) + right(z, y), (B, N, L, L) each."""
    shape = left.shape
    left, right = left.flatten(0, 1), right.flatten(0, 1)
    size = max(1, MOST_ELEMENTS // shape[-1] ** 3)
    pairs = zip(left.split(size), right.split(size), strict=True)
    return _joined([reduce(a[..., None] + b[:, None], 2) for a, b in pairs]).view(shape)


def _preceding(levels: list[Tensor], first: Tensor, reduce: Reduce) -> tuple[Tensor, Tensor]:
    """Scores of all that precedes each leaf, (B, N, L), each up to a constant, and of all leaves, (B, L).

    first: (B, L), what precedes the first leaf.
    """
    found = first[:, None]
    everything = reduce(found[:, 0, :, None] + levels[-1][:, 0], 1)
    for nodes in levels[-2::-1]:
        beside = _normalised(reduce(found[..., None] + nodes[:, 0::2], 2))
        found = torch.stack([found, beside], dim=2).flatten(1, 2)
    return found, everything


def _log_sum_exp(x: Tensor, dim: int) -> Tensor:
    """`torch.logsumexp` in fewer launches, since only -∞ is among its infinities."""
    peaks = _peaks(x, dim)
    return (x - peaks).exp_().sum(dim).log_().add_(peaks.squeeze(dim))


def _normalised(scores: Tensor) -> Tensor:
    """Scores less their maximum over the last dimension."""
    return scores - _peaks(scores, -1)


def _peaks(x: Tensor, *dims: int) -> Tensor:
    """The maximum, kept as a dimension, and not -∞, of which the difference from -∞ would be NaN."""
    return x.amax(dims, keepdim=True).clamp_(min=torch.finfo(x.dtype).min)


def _probabilities(scores: Tensor, chain: Chain, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """p(y₁ = y), (B, L), and p(yᵢ₋₁ = x, yᵢ = y), (B, T - 1, L, L), 0 at padding."""
    _, transitions, _ = chain.allowed(scores.dtype)
    forward, backward = scores
    pairs = forward[:, :-1, :, None] + transitions + backward[:, 1:, None]
    moves = pairs.flatten(2).softmax(dim=2).view_as(pairs)
    mask = padding_mask(lengths - 1, pairs.shape[1])[..., None, None]
    return backward[:, 0].softmax(dim=1), torch.where(mask, moves, 0)


def _one_hot(labels: Tensor, lengths: Tensor, num_labels: int, dtype: torch.dtype) -> Tensor:
    """labels: (B, T) → (B, T, L), 0 at padding."""
    found = labels[..., None] == torch.arange(num_labels, device=labels.device)
    return (found & padding_mask(lengths, labels.shape[1])[..., None]).to(dtype)


def _path_scores(potentials: Tensor, transitions: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
    """s(y) (B,) of the label sequences `labels` (B, T)."""
    mask = padding_mask(lengths, labels.shape[1])
    labels = torch.where(mask, labels, 0)
    steps = potentials.gather(2, labels[..., None])[..., 0]  # (B, T)
    moves = transitions.flatten()[labels[:, :-1] * len(transitions) + labels[:, 1:]]  # (B, T - 1)
    return torch.where(mask, steps, 0).sum(dim=1) + torch.where(mask[:, 1:], moves, 0).sum(dim=1)


def _best_paths(logits: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    potentials, transitions = _potentials(logits, chain, lengths)
    steps, num_labels = potentials.shape[1:]
    levels, _ = _products(_leaves(potentials, transitions, lengths), torch.amax)
    before, everything = _preceding(levels, potentials[:, 0], torch.amax)
    forward = before[:, : steps - 1]  # (B, T - 1, L)
    # The label before label y of step i + 1; at padding y itself. Maps compose, as products do: after the loop
    # `labels` holds the label of each step for each label of the last one.
    into = (forward[..., None] + transitions).argmax(dim=2)  # (B, T - 1, L)
    every = torch.arange(num_labels, device=into.device)
    labels = torch.where(padding_mask(lengths - 1, steps - 1)[..., None], into, every)
    reach = 1
    while reach < steps - 1:
        labels = torch.cat([labels[:, :-reach].gather(2, labels[:, reach:]), labels[:, -reach:]], dim=1)
        reach *= 2
    last = everything.argmax(dim=1)[:, None]  # (B, 1)
    path = torch.cat([labels.gather(2, last[:, None].expand(-1, steps - 1, 1))[..., 0], last], dim=1)
    return torch.where(padding_mask(lengths, steps), path, 0)
