"""Paired tests of two models on the same test examples; each interval agrees with the p-value of its test.

`first` and `second` are the counts of each model's runs, (K, N, 3); `level` is the significance level.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from unroll.statistics.metrics import Counts, micro_f1
from unroll.statistics.variance_components import contributions, difference_variance, swap_variance

SWAPS = 10_000
DIGITS = 12  # differences are rounded to these, so that the order of summation does not matter


@dataclass(frozen=True)
class PairedTest:
    """Result of a test of the difference, first minus second.

    The interval (`low`, `high`) is at 1 − level and excludes 0 exactly where the p-value is below the level.
    """

    low: float
    high: float
    p_value: float
    standard_error: float
    degrees_of_freedom: float


def mcnemar_test(first: Counts, second: Counts, level: float) -> PairedTest:
    """Accuracy of one run of each model: McNemar's score test (1947), without continuity correction.

    Under the null hypothesis, an example that exactly one model gets right is equally likely to be either's. The
    interval contains the differences that the score test does not reject (Tango 1998).
    """
    right, other = first[0, :, 0], second[0, :, 0]
    wins, losses, size = int((right > other).sum()), int((right < other).sum()), len(right)
    statistic = (wins - losses) ** 2 / (wins + losses) if wins + losses else 0.0
    error = swap_variance(contributions(first), contributions(second)) ** 0.5
    interval = tango_interval(wins, losses, size, level)
    return PairedTest(*interval, float(stats.chi2.sf(statistic, 1)), error, np.inf)


def tango_interval(wins: int, losses: int, size: int, level: float) -> tuple[float, float]:
    """Score interval of the difference of two proportions observed on the same examples.

    Tango 1998, *Statistics in Medicine* 17: of n examples (`size`) only the first model gets b right (`wins`), only the
    second c (`losses`). The interval contains δ where (b − c − nδ)² ≤ z² n (2q + δ (1 − δ)), with q the
    maximum-likelihood estimate of the share of losses given δ.
    """
    limit = stats.chi2.isf(level, 1)
    difference = (wins - losses) / size

    def excess(delta: float) -> float:
        half = 2 * size * delta - (wins + losses) - (wins - losses) * delta
        share = (np.sqrt(max(half**2 + 8 * size * losses * delta * (1 - delta), 0)) - half) / (4 * size)
        return float((wins - losses - size * delta) ** 2 - limit * size * (2 * share + delta * (1 - delta)))

    apart = 1e-12  # keeps the bracket away from the difference itself, where the excess is below 0
    low = -1.0 if losses == size else optimize.brentq(excess, -1, difference - apart)
    high = 1.0 if wins == size else optimize.brentq(excess, difference + apart, 1)
    return float(low), float(high)


def randomisation_test(first: Counts, second: Counts, level: float, seed: int) -> PairedTest:
    """F1 of one run of each model: approximate randomisation (Noreen 1989; Yeh 2000).

    The p-value is the share of random swaps of the two models' predictions, example by example, whose difference is at
    least as large as the observed one. The half-width of the interval is the 1 − level quantile of the absolute
    differences after swapping, and smaller where the observed difference is large.
    """
    difference = round(float((micro_f1(first) - micro_f1(second))[0]), DIGITS)
    # examples with equal changes are interchangeable, so the number of them that is swapped is drawn from a binomial
    changes, sizes = np.unique(second[0] - first[0], axis=0, return_counts=True)
    moved = np.random.default_rng(seed).binomial(sizes, 0.5, (SWAPS, len(sizes))) @ changes  # (SWAPS, 3)
    totals = first[0].sum(axis=0) + moved, second[0].sum(axis=0) - moved
    one, other = (micro_f1(total[:, None]) for total in totals)
    swapped = (one - other).round(DIGITS)  # (SWAPS,)
    distances = np.sort([*np.abs(swapped), np.inf])[::-1]
    p_value = float(np.mean(distances >= abs(difference)))  # (1 + hits) / (1 + SWAPS)
    half = float(distances[int(np.ceil(level * len(distances))) - 1])  # p < level just where |difference| > half
    error = float(swapped.std())
    return PairedTest(*_interval(difference, half, error, len(first[0])), p_value, error, np.inf)


def seeds_test(first: Counts, second: Counts, level: float) -> PairedTest:
    """Accuracy or F1 with several runs of at least one model: Student's t-test of the difference of means over runs."""
    one, other = contributions(first), contributions(second)
    difference = round(float(one.mean() - other.mean()), DIGITS)
    variance, degrees = difference_variance(one, other)
    error = round(variance**0.5, DIGITS)
    half = float(stats.t.isf(level / 2, degrees)) * error
    p_value = float(2 * stats.t.sf(abs(difference) / error, degrees)) if error else 1.0
    return PairedTest(*_interval(difference, half, error, one.shape[1]), p_value, error, degrees)


def _interval(difference: float, half: float, error: float, size: int) -> tuple[float, float]:
    """Interval of a difference, clipped to −1..1, from the half-width and standard error of a test of no difference.

    The variance of that test includes the square of the observed difference. The interval contains the differences that
    a test with the remaining variance does not reject; the remainder is at least that of two examples.
    """
    reach = (half / error) ** 2 if error else 0.0
    if reach < size:
        remaining = max(0.0, error**2 - difference**2 / size) + 2 / size**2
        half = min(half, (reach * remaining / (1 - reach / size)) ** 0.5)
    return max(-1.0, difference - half), min(1.0, difference + half)
