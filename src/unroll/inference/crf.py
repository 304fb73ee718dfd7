"""The linear-chain CRF of `unroll.nn.crf` in NumPy, for exported models: best paths and posteriors, no training."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unroll.data.tokens import Posterior

MOST_POINTERS = 1 << 22  # of one sequence, by which its memory is bounded


class CRF:
    """A CRF over L labels.

    Args:
        start, end: scores of the first and last label, (L,).
        transitions: scores of [from, to], (L, L).
        forbidden_starts, forbidden_transitions: True where decoding excludes a label or transition, in these shapes.
        constrained_loss: whether the marginals exclude these too.
    """

    def __init__(
        self,
        start: Sequence[float],
        end: Sequence[float],
        transitions: Sequence[Sequence[float]],
        forbidden_starts: Sequence[bool],
        forbidden_transitions: Sequence[Sequence[bool]],
        constrained_loss: bool,
    ) -> None:
        free = _Scores(*(np.array(scores, np.float32) for scores in (start, transitions)))
        self._end = np.array(end, np.float32)
        self._decoding = _Scores(
            np.where(forbidden_starts, -np.inf, free.start), np.where(forbidden_transitions, -np.inf, free.transitions)
        )
        self._marginal = self._decoding if constrained_loss else free

    def decode(self, logits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """logits: (B, T, L), lengths: (B,) → best path (B, T), by the Viterbi algorithm; unspecified at padding.

        Raises:
            ValueError: no path has a finite score.
        """
        potentials, transitions = self._chain(logits, lengths, self._decoding)
        steps, batch, labels = potentials.shape
        best = potentials  # best[i, :, y] becomes the score of the best path to label y at step i
        froms = np.empty((labels, batch, labels), potentials.dtype)  # [from, :, to]
        from_scores, to_scores = best.transpose(0, 2, 1)[..., None], transitions[:, None]
        for before, scores in zip(from_scores[:-1], best[1:], strict=True):
            np.add(before, to_scores, froms)
            np.add(scores, np.maximum.reduce(froms, 0), scores)
        last = lengths - 1
        if not np.isfinite(best[last, np.arange(batch)].max(axis=1)).all():
            raise ValueError(
                "the best path has no finite score; accepted: finite logits, constraints that allow a path"
            )
        if batch == 1 and last[0] == steps - 1 and steps * froms.size <= MOST_POINTERS:
            return _best_path(best[:, 0], transitions)[None]
        # Backwards. Row L of `into` takes no transition, for the step after the last one.
        into = np.concatenate([transitions.T, np.zeros_like(transitions[:1])])  # [to, from]
        is_last = last == np.arange(steps)[:, None]  # (T, B)
        has_end = is_last.any(axis=1).tolist()
        paths = np.empty(is_last.shape, np.int64)
        follower = np.full(batch, labels)
        for i in range(steps - 1, -1, -1):
            if has_end[i]:
                follower = np.where(is_last[i], labels, follower)
            follower = paths[i] = (best[i] + into[follower]).argmax(-1)
        return paths.T

    def posterior(self, logits: np.ndarray, lengths: np.ndarray) -> Posterior[np.ndarray]:
        """logits: (B, T, L), lengths: (B,) → p(y) in float64, with the marginals; unspecified at padding."""
        potentials, transitions = self._chain(logits.astype(np.float64), lengths, self._marginal)
        steps = len(potentials)
        order = np.arange(steps)[:, None]  # (T, B): each sequence reversed within its length
        order = np.where(order < lengths, lengths - 1 - order, order)[:, :, None]
        forward = _messages(potentials, transitions)
        backward = _messages(np.take_along_axis(potentials, order, axis=0), transitions.T)
        following = potentials + np.take_along_axis(backward, order, axis=0)
        return Posterior(softmax(forward + following).transpose(1, 0, 2), following.transpose(1, 0, 2), transitions)

    def _chain(self, logits: np.ndarray, lengths: np.ndarray, scores: "_Scores") -> tuple[np.ndarray, np.ndarray]:
        """Potentials (T, B, L), the logits plus start and end scores, and transitions (L, L), of the logits' type."""
        potentials = logits.transpose(1, 0, 2).copy()
        potentials[0] += scores.start
        potentials[lengths - 1, np.arange(len(lengths))] += self._end
        return potentials, scores.transitions.astype(logits.dtype, copy=False)


class _Scores(NamedTuple):
    start: np.ndarray
    transitions: np.ndarray


def _best_path(best: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """The path (T,) of one sequence from the scores (T, L) of the best paths to each label, by all pointers at once."""
    pointers = (best[:-1, None] + transitions.T).argmax(axis=-1)  # (T - 1, L): the label before each label
    path = [int(best[-1].argmax())]
    for before in pointers[::-1].tolist():
        path.append(before[path[-1]])
    return np.array(path[::-1])


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of the last axis, which sum to 1."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _messages(potentials: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """log Σₓ exp(scoresᵢ₋₁(x) + transitions(x, y)), up to a constant per step, from 0; (T, B, L)."""
    steps, batch, labels = potentials.shape
    messages = np.zeros(potentials.shape)
    froms = np.empty((labels, batch, labels))
    for i in range(1, steps):
        before = messages[i - 1] + potentials[i - 1]
        before -= before.max(axis=1, keepdims=True)
        np.add(before.T[:, :, None], transitions[:, None], out=froms)
        largest = froms.max(axis=0)  # (B, L)
        largest[largest == -np.inf] = 0  # a label that no path reaches
        with np.errstate(divide="ignore"):
            messages[i] = np.log(np.exp(froms - largest).sum(axis=0)) + largest
    return messages
