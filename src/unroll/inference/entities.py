"""The probability of an entity, from the distribution of the labels of all tokens."""

from collections.abc import Sequence

import numpy as np

from unroll.data.predictions import Prediction
from unroll.data.tags import Span


def entity_probability(prediction: Prediction, names: Sequence[str], span: Span, starts: Sequence[int]) -> float:
    """The probability of all label sequences that have exactly this entity: its type, first and last word.

    An entity is what `unroll.data.tags.spans` finds, so that an I- tag that continues none starts one.

    Args:
        prediction: with probabilities.
        names: the labels by id, L of them.
        span: the entity, in words.
        starts: the step of each word; with subwords, of its first one, whose label is that of the word.
    """
    begin, inside = _mask(names, f"B-{span.type}"), _mask(names, f"I-{span.type}")
    own = prediction.probabilities
    joint = own[starts[0]] * (begin | inside)  # (L,): the sequences so far, by their last label
    if span.start > 0:
        before, first = starts[span.start - 1], starts[span.start]
        others = _move(prediction, own[before] * ~(begin | inside), before, first)
        joint = own[first] * begin + others * inside
    for word in range(span.start + 1, span.end):
        joint = _move(prediction, joint, starts[word - 1], starts[word]) * inside
    if span.end < len(starts):
        joint = _move(prediction, joint, starts[span.end - 1], starts[span.end]) * ~inside
    return float(joint.sum())


def _mask(names: Sequence[str], name: str) -> np.ndarray:
    """True at the label of this name, if there is one; (L,)."""
    mask = np.zeros(len(names), bool)
    if name in names:
        mask[names.index(name)] = True
    return mask


def _move(prediction: Prediction, joint: np.ndarray, start: int, end: int) -> np.ndarray:
    """The joint probabilities (L,) with the label of step `start` → those with the label of step `end`."""
    following, transitions = prediction.following, prediction.transitions
    for step in range(start + 1, end + 1):
        if following is None or transitions is None:
            joint = joint.sum() * prediction.probabilities[step]
        else:
            reached = np.flatnonzero(joint)
            scores = transitions[reached] + following[step]
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            joint = (joint[reached] / powers.sum(axis=1)) @ powers
    return joint
