"""What the ways to compute a linear-chain CRF share: its scores, and a likelihood whose gradient is by marginals."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable


class Chain(NamedTuple):
    """Scores of the first label `start` (L,), of neighbours `transitions` (L, L), [from, to], and of the last, `end`.

    Where `forbidden_starts` (L,) or `forbidden_transitions` (L, L) is True, the score is -∞ instead; both are None
    without constraints.
    """

    start: Tensor
    transitions: Tensor
    end: Tensor
    forbidden_starts: Tensor | None = None
    forbidden_transitions: Tensor | None = None

    def allowed(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """`start`, `transitions` and `end` with the constraints applied, in the type for logits of type `dtype`."""
        dtype = computed_in(dtype)
        start, transitions, end = self.start.to(dtype), self.transitions.to(dtype), self.end.to(dtype)
        if self.forbidden_starts is not None and self.forbidden_transitions is not None:
            start = start.masked_fill(self.forbidden_starts, -torch.inf)
            transitions = transitions.masked_fill(self.forbidden_transitions, -torch.inf)
        return start, transitions, end


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """The type in which logits of type `dtype` are computed with: float32, or float64 as given."""
    return torch.promote_types(dtype, torch.float32)


class Gradients(NamedTuple):
    """Gradients by the logits (B, T, L), `start` (L,), `transitions` (L, L) and `end` (L,)."""

    logits: Tensor
    start: Tensor
    transitions: Tensor
    end: Tensor


class Way(Protocol):
    """A module that computes a CRF on a device without a loop over time in Python.

    logits: (B, T, L), labels: (B, T) or None, lengths: (B,). Nothing waits for the device, and nothing is checked.
    """

    def forward_backward(
        self, logits: Tensor, chain: Chain, labels: Tensor | None, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores (2, B, T, L), and log Z (B,) or, with labels, log Z - s(labels).

        With the potentials of step i, the logits plus start and end scores, they are, up to a constant per step,
        forward: αᵢ(y) = potentialsᵢ(y) + log Σₓ exp(αᵢ₋₁(x) + transitions(x, y)), and
        backward: βᵢ(y) = potentialsᵢ(y) + log Σₓ exp(transitions(y, x) + βᵢ₊₁(x)); 0 at padding.
        """
        ...

    def gradients(
        self, scores: Tensor, chain: Chain, labels: Tensor | None, lengths: Tensor, weights: Tensor
    ) -> Gradients:
        """Gradients of the second result of `forward_backward`, which gave `scores`, times `weights` (B,)."""
        ...

    def marginals(self, scores: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
        """p(yᵢ = l), (B, T, L), from the scores of `forward_backward`; 0 at padding."""
        ...

    def best_paths(self, logits: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
        """Best path (B, T), 0 at padding."""
        ...


class NegativeLogLikelihood(Function):
    """(way, logits, labels or None, lengths, *chain) → log Z (B,) or, with labels, log Z - s(labels).

    The gradient is computed from the marginals: ∂ log Z / ∂ logitsᵢ(y) = p(yᵢ = y) and
    ∂ log Z / ∂ transitions(x, y) = Σ p(yᵢ₋₁ = x, yᵢ = y). That of a forbidden score is 0.
    """

    @staticmethod
    def forward(
        ctx: Any, way: Way, logits: Tensor, labels: Tensor | None, lengths: Tensor, *chain: Tensor | None
    ) -> Tensor:
        scores, losses = way.forward_backward(logits, Chain(*chain), labels, lengths)  # type: ignore[arg-type]
        ctx.way, ctx.dtype = way, logits.dtype
        ctx.save_for_backward(scores, labels, lengths, *chain)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor | None, ...]:
        scores, labels, lengths, *saved = ctx.saved_tensors
        chain = Chain(*saved)
        found = ctx.way.gradients(scores, chain, labels, lengths, weights)
        of_chain = (gradient.to(score.dtype) for gradient, score in zip(found[1:], chain[:3], strict=True))
        return None, found.logits.to(ctx.dtype), None, None, *of_chain, None, None
