"""Linear-chain conditional random field (Lafferty et al. 2001), as the last layer of a tagger (Lample et al. 2016).

A path y₁ … y_T through the labels scores s(y) = start(y₁) + Σ logitsᵢ(yᵢ) + Σ transitions(yᵢ₋₁, yᵢ) + end(y_T),
and p(y) = exp s(y) / Z with Z = Σ exp s(y) over all paths.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unroll.checks import check_least
from unroll.data.tokens import Posterior
from unroll.nn.encoder import padding_mask, reversal

SMALLEST_LOG_SUM = -60.0  # in a sum above e⁻⁶⁰ the terms that float32 rounds to zero, below e⁻⁸⁷, are negligible


class Constraints(NamedTuple):
    """Allowed first labels `starts` (L,), and `transitions` (L, L), True at [from, to] if `to` may follow `from`."""

    starts: Tensor
    transitions: Tensor


def iob2_constraints(label_names: Sequence[str]) -> Constraints:
    """The constraints of IOB2, for tags in any order: I-X follows B-X or I-X only and is never the first label."""
    inside = torch.tensor([name.startswith("I-") for name in label_names])  # (L,)
    opened = [[name[:2] in ("B-", "I-") and name[2:] == to[2:] for to in label_names] for name in label_names]
    return Constraints(starts=~inside, transitions=~inside | torch.tensor(opened))


class LinearChainCRF(nn.Module):
    """Scores label sequences by their logits and by the transitions between neighbouring labels.

    The results do not depend on the values at padding or on the amount of padding. 16-bit logits are converted to
    float32, and autocast has no effect.

    Every method raises ValueError for logits of the wrong shape and, on a CPU, for lengths outside 1 to T and for
    scores that have no finite result (NaN, infinity, constraints that exclude every path). On other devices values
    are not checked, since that would wait for the device.

    `decode` returns paths that the constraints allow. With `constrained_loss` the others are excluded from Z, that is
    from `loss`, `log_partition` and `marginals`, too. The constraints are not in the state dict.
    """

    forbidden_starts: Tensor
    forbidden_transitions: Tensor

    def __init__(self, num_labels: int, constraints: Constraints | None = None, constrained_loss: bool = False) -> None:
        super().__init__()
        check_least(1, num_labels=num_labels)
        free = Constraints(torch.ones(num_labels).bool(), torch.ones(num_labels, num_labels).bool())
        allowed = constraints or free
        for name, given, expected in zip(Constraints._fields, allowed, free, strict=True):
            if given.shape != expected.shape:
                raise ValueError(f"constraints.{name} of shape {tuple(given.shape)}; accepted: {tuple(expected.shape)}")
        self.num_labels = num_labels
        self.constrained_loss = constrained_loss
        self.start = nn.Parameter(torch.empty(num_labels).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(num_labels).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty(num_labels, num_labels).uniform_(-0.1, 0.1))  # [from, to]
        self.register_buffer("forbidden_starts", ~allowed.starts, persistent=False)
        self.register_buffer("forbidden_transitions", ~allowed.transitions, persistent=False)

    def loss(self, logits: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """logits: (B, T, L), labels: (B, T), -100 at padding, lengths: (B,) → -Σ log p(y) / number of tokens.

        The mean is over tokens, not over sequences, so that its scale is that of a softmax loss at each step. On a CPU,
        ValueError is raised where a token has no label or, with `constrained_loss`, the labels are a forbidden path;
        on other devices the loss of a forbidden path is infinite and its gradient finite.
        """
        potentials, transitions = self._chain(logits, lengths, self.constrained_loss)
        mask = padding_mask(lengths, len(potentials))  # (B, T)
        if labels.shape != mask.shape:
            raise ValueError(f"labels of shape {tuple(labels.shape)}; accepted: {tuple(mask.shape)}, as the logits")
        wrong = mask & ((labels < 0) | (labels >= self.num_labels))
        _refuse(labels, wrong, "labels", f"0 to {self.num_labels - 1} within a sequence")
        log_z = LogPartition.apply(potentials, transitions, lengths)
        gold = _path_scores(potentials, transitions, labels, mask)
        return _check_finite((log_z - gold).sum() / lengths.sum(), "the loss")

    def log_partition(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """logits: (B, T, L), lengths: (B,) → log Z (B,); log p(y) = s(y) - log Z."""
        chain = self._chain(logits, lengths, self.constrained_loss)
        return _check_finite(LogPartition.apply(*chain, lengths), "log Z")

    def marginals(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """logits: (B, T, L), lengths: (B,) → p(yᵢ = l), (B, T, L), by forward-backward; 0 at padding."""
        return self.posterior(logits, lengths).probabilities

    @torch.no_grad()
    def posterior(self, logits: Tensor, lengths: Tensor) -> Posterior[Tensor]:
        """logits: (B, T, L), lengths: (B,) → p(y) as a Markov chain, with the marginals."""
        potentials, transitions = self._chain(logits, lengths, self.constrained_loss)
        forward, message, backward = _forward_backward(potentials, transitions, lengths)
        _check_finite(_log_z(forward, lengths), "log Z")
        marginals = (forward + message).softmax(dim=1).permute(2, 0, 1)  # (B, T, L)
        marginals = marginals.masked_fill(~padding_mask(lengths, len(forward))[:, :, None], 0)
        return Posterior(marginals, backward.permute(2, 0, 1), transitions)

    @torch.no_grad()
    def decode(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """logits: (B, T, L), lengths: (B,) → best path (B, T), by the Viterbi algorithm; 0 at padding."""
        potentials, transitions = self._chain(logits, lengths, constrained=True)
        first, *others = potentials.unbind()
        best = [first]  # best[i][y]: score of the best path to label y at step i
        for step in others:
            best.append((best[-1][:, None] + transitions[:, :, None]).amax(dim=0).add_(step))
        # Backwards from the last step of each sequence; the padding comes after the first step.
        order = reversal(lengths, len(best)).T  # (T, B)
        last, *others = _take_steps(torch.stack(best), order).transpose(1, 2).contiguous().unbind()  # T of (B, L)
        _check_finite(last.amax(dim=1), "the best path's score")
        path = [last.argmax(dim=1)]
        into = transitions.T.contiguous()  # [to, from]
        for scores in others:
            path.append((scores + into.index_select(0, path[-1])).argmax(dim=1))
        paths = torch.stack(path).gather(0, order).T  # (B, T)
        return paths.masked_fill(~padding_mask(lengths, len(best)), 0)

    def _chain(self, logits: Tensor, lengths: Tensor, constrained: bool) -> tuple[Tensor, Tensor]:
        """Potentials (T, L, B), the logits plus start and end scores, 0 at padding; and transitions (L, L).

        The batch is the last dimension from here on, so that a step is contiguous and sums over labels are vectorised.
        """
        if logits.ndim != 3 or logits.shape[2] != self.num_labels or lengths.shape != logits.shape[:1]:
            given = f"logits of shape {tuple(logits.shape)}, lengths of shape {tuple(lengths.shape)}"
            raise ValueError(f"{given}; accepted: (B, T, {self.num_labels}), (B,)")
        wrong = (lengths < 1) | (lengths > logits.shape[1])
        _refuse(lengths, wrong, "lengths", f"1 to {logits.shape[1]}, the steps of the logits")
        dtype = torch.promote_types(logits.dtype, torch.float32)
        start, transitions, end = self.start.to(dtype), self.transitions.to(dtype), self.end.to(dtype)
        if constrained:
            start = start.masked_fill(self.forbidden_starts, -torch.inf)
            transitions = transitions.masked_fill(self.forbidden_transitions, -torch.inf)
        padding = ~padding_mask(lengths, logits.shape[1]).T  # (T, B)
        potentials = logits.to(dtype).permute(1, 2, 0).contiguous().masked_fill(padding[:, None], 0)
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
    if not _readable(steps):
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
    if not _readable(before):
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


def _readable(x: Tensor) -> bool:
    """Whether values can be checked without waiting for a device or breaking a traced graph."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _refuse(x: Tensor, wrong: Tensor, name: str, accepted: str) -> None:
    """Raise ValueError if the mask `wrong`, of the shape of x, is True anywhere; only where x is readable."""
    if _readable(x) and wrong.any():
        raise ValueError(f"{name}: {x[wrong][0].item()}; accepted: {accepted}")


def _check_finite(scores: Tensor, name: str) -> Tensor:
    _refuse(scores, ~scores.isfinite(), name, "a finite value, from finite logits and constraints that allow a path")
    return scores
