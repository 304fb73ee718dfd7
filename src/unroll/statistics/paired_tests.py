"""Paired tests of two models on the same test examples; each gives an interval that agrees with its p-value.

What is compared are counts, (K, N, 3) for each model, as :mod:`unroll.evaluation.example_counts` has them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from unroll.evaluation.example_counts import micro_f1
from unroll.statistics.variance_components import contributions, difference_variance, swap_variance

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
    """Accuracy of one run each. McNemar 1947: what just one model has right is as likely to be either's.

    The interval holds the differences that the same score test does not refuse (Tango 1998).
    """
    right, other = first[0, :, 0], second[0, :, 0]
    wins, losses, size = int((right > other).sum()), int((right < other).sum()), len(right)
    statistic = (wins - losses) ** 2 / (wins + losses) if wins + losses else 0.0
    error = swap_variance(contributions(first), contributions(second)) ** 0.5
    interval = tango_interval(wins, losses, size, level)
    return PairedTest(*interval, float(stats.chi2.sf(statistic, 1)), error, np.inf)


def tango_interval(wins: int, losses: int, size: int, level: float) -> tuple[float, float]:
    """Of the difference of two proportions in the same `size` examples, which differ in `wins` and `losses` of them.

    Tango 1998, *Statistics in Medicine* 17: a difference δ is in it where (b − c − nδ)² ≤ z² n (2q + δ (1 − δ)), with q
    the likeliest share of the losses for that δ.
    """
    limit = stats.chi2.isf(level, 1)
    difference = (wins - losses) / size

    def excess(delta: float) -> float:
        half = 2 * size * delta - (wins + losses) - (wins - losses) * delta
        share = (np.sqrt(max(half**2 + 8 * size * losses * delta * (1 - delta), 0)) - half) / (4 * size)
        return float((wins - losses - size * delta) ** 2 - limit * size * (2 * share + delta * (1 - delta)))

    apart = 1e-12  # between the ends and the difference, where the excess is below 0
    low = -1.0 if losses == size else optimize.brentq(excess, -1, difference - apart)
    high = 1.0 if wins == size else optimize.brentq(excess, difference + apart, 1)
    return float(low), float(high)


def randomisation_test(first: NDArray[np.int64], second: NDArray[np.int64], level: float, seed: int) -> PairedTest:
    """F1 of one run each. Approximate randomisation (Noreen 1989; Yeh 2000): how often do random swaps of the two
    answers to an example differ as much?

    The interval reaches as far from the difference as the swaps do with probability 1 − level, or less far where the
    difference is large.
    """
    difference = round(float((micro_f1(first) - micro_f1(second))[0]), DIGITS)
    swapped = swapped_differences(first[0], second[0], np.random.default_rng(seed)).round(DIGITS)
    distances = np.sort([*np.abs(swapped), np.inf])[::-1]
    p_value = float(np.mean(distances >= abs(difference)))  # (1 + hits) / (1 + SWAPS)
    half = float(distances[int(np.ceil(level * len(distances))) - 1])  # p < level just where |difference| > half
    error = float(swapped.std())
    return PairedTest(*_interval(difference, half, error, len(first[0])), p_value, error, np.inf)


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
    difference = round(float(one.mean() - other.mean()), DIGITS)
    variance, degrees = difference_variance(one, other)
    error = round(variance**0.5, DIGITS)
    half = float(stats.t.isf(level / 2, degrees)) * error
    p_value = float(2 * stats.t.sf(abs(difference) / error, degrees)) if error else 1.0
    return PairedTest(*_interval(difference, half, error, one.shape[1]), p_value, error, degrees)


def _interval(difference: float, half: float, error: float, size: int) -> tuple[float, float]:
    """The interval from how far a test reaches that takes the difference for 0, within −1..1.

    That test's variance holds the square of the difference, over `size` examples. The test of another difference has
    what remains, and the interval is of all that it does not refuse; two examples' worth is left where nothing remains.
    """
    reach = (half / error) ** 2 if error else 0.0
    if reach < size:
        remaining = max(0.0, error**2 - difference**2 / size) + 2 / size**2
        half = min(half, (reach * remaining / (1 - reach / size)) ** 0.5)
    return max(-1.0, difference - half), min(1.0, difference + half)
