"""Linear-chain conditional random field (Lafferty et al. 2001), as the last layer of a tagger (Lample et al. 2016).

A path y₁ … y_T through the labels scores s(y) = start(y₁) + Σ logitsᵢ(yᵢ) + Σ transitions(yᵢ₋₁, yᵢ) + end(y_T),
and p(y) = exp s(y) / Z with Z = Σ exp s(y) over all paths.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unroll.checks import check_least
from unroll.data.tokens import Posterior
from unroll.nn import crf_loop, crf_tree
from unroll.nn.crf_likelihood import Chain, NegativeLogLikelihood, Way
from unroll.nn.encoder import padding_mask
from unroll.nn.kernels import has_kernels


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
        self._check(logits, lengths)
        if labels.shape != logits.shape[:2]:
            accepted = f"{tuple(logits.shape[:2])}, as the logits"
            raise ValueError(f"labels of shape {tuple(labels.shape)}; accepted: {accepted}")
        if crf_loop.readable(labels):
            wrong = padding_mask(lengths, labels.shape[1]) & ((labels < 0) | (labels >= self.num_labels))
            _refuse(labels, wrong, "labels", f"0 to {self.num_labels - 1} within a sequence")
        chain, way = self.chain(self.constrained_loss), _way(logits)
        if way is None:
            losses = crf_loop.negative_log_likelihood(logits, chain, labels, lengths)
        else:
            losses = NegativeLogLikelihood.apply(way, logits, labels, lengths, *chain)
        return _check_finite(losses.sum() / lengths.sum(), "the loss")

    def log_partition(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """logits: (B, T, L), lengths: (B,) → log Z (B,); log p(y) = s(y) - log Z."""
        self._check(logits, lengths)
        chain, way = self.chain(self.constrained_loss), _way(logits)
        if way is None:
            log_z = crf_loop.log_partition(logits, chain, lengths)
        else:
            log_z = NegativeLogLikelihood.apply(way, logits, None, lengths, *chain)
        return _check_finite(log_z, "log Z")

    def marginals(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """logits: (B, T, L), lengths: (B,) → p(yᵢ = l), (B, T, L), by forward-backward; 0 at padding."""
        return self.posterior(logits, lengths).probabilities

    @torch.no_grad()
    def posterior(self, logits: Tensor, lengths: Tensor) -> Posterior[Tensor]:
        """logits: (B, T, L), lengths: (B,) → p(y) as a Markov chain, with the marginals."""
        self._check(logits, lengths)
        chain, way = self.chain(self.constrained_loss), _way(logits)
        if way is None:
            found, log_z = crf_loop.posterior(logits, chain, lengths)
        else:
            scores, log_z = way.forward_backward(logits, chain, None, lengths)
            _, transitions, _ = chain.allowed(logits.dtype)
            found = Posterior(way.marginals(scores, chain, lengths), scores[1], transitions)
        _check_finite(log_z, "log Z")
        return found

    @torch.no_grad()
    def decode(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """logits: (B, T, L), lengths: (B,) → best path (B, T), by the Viterbi algorithm; 0 at padding."""
        self._check(logits, lengths)
        chain, way = self.chain(constrained=True), _way(logits)
        if way is not None:
            return way.best_paths(logits, chain, lengths)
        paths, scores = crf_loop.best_paths(logits, chain, lengths)
        _check_finite(scores, "the best path's score")
        return paths

    def chain(self, constrained: bool) -> Chain:
        """The scores, with the constraints if `constrained`."""
        free = Chain(self.start, self.transitions, self.end)
        if not constrained:
            return free
        return free._replace(forbidden_starts=self.forbidden_starts, forbidden_transitions=self.forbidden_transitions)

    def _check(self, logits: Tensor, lengths: Tensor) -> None:
        if logits.ndim != 3 or logits.shape[2] != self.num_labels or lengths.shape != logits.shape[:1]:
            given = f"logits of shape {tuple(logits.shape)}, lengths of shape {tuple(lengths.shape)}"
            raise ValueError(f"{given}; accepted: (B, T, {self.num_labels}), (B,)")
        if crf_loop.readable(lengths):
            wrong = (lengths < 1) | (lengths > logits.shape[1])
            _refuse(lengths, wrong, "lengths", f"1 to {logits.shape[1]}, the steps of the logits")


def _way(logits: Tensor) -> Way | None:
    """How to compute a CRF of logits (B, T, L) on their device; None for the loop over time.

    A step of the loop is a few launches of O(B L²), and on a GPU it is the launches that take time, unless the labels
    are many. The kernels need one launch for all steps, the tree about log₂ T; but the tree's work is O(B T L³).
    """
    if has_kernels(logits):
        from unroll.nn.kernels import crf  # imports Triton

        if logits.shape[2] <= crf.most_labels(logits.dtype):
            return crf
    return crf_tree if logits.device.type != "cpu" and logits.shape[2] <= crf_tree.MOST_LABELS else None


def _refuse(x: Tensor, wrong: Tensor, name: str, accepted: str) -> None:
    """Raise ValueError if the mask `wrong`, of the shape of x, is True anywhere."""
    if wrong.any():
        raise ValueError(f"{name}: {x[wrong][0].item()}; accepted: {accepted}")


def _check_finite(scores: Tensor, name: str) -> Tensor:
    """Return scores; raise ValueError if they can be read and are not finite."""
    if crf_loop.readable(scores):
        accepted = "a finite value, from finite logits and constraints that allow a path"
        _refuse(scores, ~scores.isfinite(), name, accepted)
    return scores
