"""How far two ways of predicting agree."""

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

TOLERANCE = 1e-5  # of probabilities; PyTorch and ONNX Runtime round differently


class Agreement(NamedTuple):
    """Of the answers of a way with those that are expected.

    Args:
        rows: that are expected.
        equal: of these, the rows whose labels, tokens and offsets are equal, and whose probabilities are to TOLERANCE.
        difference: the greatest one of two probabilities, among rows that are equal in the rest.
    """

    rows: int
    equal: int
    difference: float

    @property
    def is_complete(self) -> bool:
        return self.equal == self.rows


def agreement(expected: Sequence[Any], found: Sequence[Any]) -> Agreement:
    """Compare answers row by row; one that is missing or too many is not equal."""
    distances = [distance(*pair) for pair in zip_longest(expected, found)]
    equal = sum(it <= TOLERANCE for it in distances)
    if len(found) > len(expected):
        equal = min(equal, len(expected) - 1)
    return Agreement(len(expected), equal, max(filter(math.isfinite, distances), default=0.0))


def distance(a: Any, b: Any) -> float:
    """The greatest difference of two probabilities at the same place; infinite if anything else differs."""
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((distance(a[key], b[key]) for key in a), default=0.0)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max(map(distance, a, b), default=0.0)
    return 0.0 if type(a) is type(b) and a == b else math.inf
