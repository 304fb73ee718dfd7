"""Paired tests of two models on the same test examples; each gives an interval that agrees with its p-value.

What is compared are counts, (K, N, 3) for each model, as :mod:`unroll.evaluation.example_counts` has them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from unroll.evaluation.example_counts import micro_f1
from unroll.evaluation.variance_components import contributions, difference_variance, swap_variance

SWAPS = 10_000
DIGITS = 12  # of differences: sums in another order are equal ones


class PairedTest(NamedTuple):
    """Of the difference, first minus second: its interval at 1 − level, which leaves 0 out where p is below level."""

    low: float
    high: float
    p_value: float
    standard_error: float
    degrees_of_freedom: float


def mcnemar_test(first: NDArray[np.int64], second: NDArray[np.int64], level: float) -> PairedTest:
    """Accuracy of one run each. McNemar 1947, exact: what just one model has right is as likely to be either's.

    The interval is Clopper and Pearson's of the first model's share of those, as a difference of accuracy.
    """
    right, other = first[0, :, 0], second[0, :, 0]
    wins, losses, size = int((right > other).sum()), int((right < other).sum()), len(right)
    differing = wins + losses
    if not differing:
        return PairedTest(0.0, 0.0, 1.0, 0.0, np.inf)
    test = stats.binomtest(wins, differing)
    low, high = (differing / size * (2 * share - 1) for share in test.proportion_ci(1 - level))
    error = swap_variance(contributions(first), contributions(second)) ** 0.5
    return PairedTest(low, high, float(test.pvalue), error, np.inf)


def randomisation_test(first: NDArray[np.int64], second: NDArray[np.int64], level: float, seed: int) -> PairedTest:
    """F1 of one run each. Approximate randomisation (Noreen 1989; Yeh 2000): how often do random swaps of the two
    answers to an example differ as much?

    The interval reaches as far from the difference as the swaps do with probability 1 − level.
    """
    difference = round(float((micro_f1(first) - micro_f1(second))[0]), DIGITS)
    swapped = swapped_differences(first[0], second[0], np.random.default_rng(seed)).round(DIGITS)
    distances = np.sort([*np.abs(swapped), np.inf])[::-1]
    p_value = float(np.mean(distances >= abs(difference)))  # (1 + hits) / (1 + SWAPS)
    half = float(distances[int(np.ceil(level * len(distances))) - 1])  # p < level just where |difference| > half
    return PairedTest(difference - half, difference + half, p_value, float(swapped.std()), np.inf)


def swapped_differences(
    first: NDArray[np.int64], second: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """(SWAPS,) differences of F1 after swapping the counts, (N, 3) each, of every example with probability 1/2.

    Examples with the same change are interchangeable: how many of them are swapped is binomial.
    """
    changes, sizes = np.unique(second - first, axis=0, return_counts=True)
    moved = generator.binomial(sizes, 0.5, (SWAPS, len(sizes))) @ changes  # (SWAPS, 3)
    totals = first.sum(axis=0) + moved, second.sum(axis=0) - moved
    one, other = (micro_f1(total[:, None]) for total in totals)
    return one - other


def seeds_test(first: NDArray[np.int64], second: NDArray[np.int64], level: float) -> PairedTest:
    """Accuracy or F1 of several runs of one model at least: Student's t of the difference of means over runs."""
    one, other = contributions(first), contributions(second)
    difference = float(one.mean() - other.mean())
    variance, degrees = difference_variance(one, other)
    error = variance**0.5
    half = float(stats.t.isf(level / 2, degrees)) * error
    p_value = float(2 * stats.t.sf(abs(difference) / error, degrees)) if error else 1.0
    return PairedTest(difference - half, difference + half, p_value, error, degrees)
