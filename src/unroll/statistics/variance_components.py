"""The variance of the difference between two models, over test examples and over seeds.

Examples are crossed with runs, and runs are nested in models, like cases and readers in multi-reader studies
(Obuchowski and Rockette 1995; Hillis 2014). Everything is computed from contributions: what each
example adds to a run's score.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unroll.statistics.metrics import micro_f1


class DifferenceVariance(NamedTuple):
    """Variance of a difference.

    Args:
        total: the square of the standard error.
        degrees: degrees of freedom; infinite where scores do not vary over seeds, and for one run of each model.
    """

    total: float
    degrees: float


class SeedVariance(NamedTuple):
    """Variance of a difference of mean scores over seeds, as estimated from the runs.

    Args:
        between: from the spread of the runs' scores.
        within: the part of it that comes from the finite test split, since runs disagree on examples even where their
            true scores are equal.
        degrees: degrees of freedom of `between` (Welch 1938).
    """

    between: float
    within: float
    degrees: float


def contributions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each example adds to a run's score, which is the mean of its contributions.

    Accuracy: 1 for a right prediction, else 0. F1: the score plus the (first-order) influence of the example on it.

    Args:
        counts: (K, N, 3) right, found and gold.

    Returns:
        (K, N).
    """
    scores, size = micro_f1(counts)[:, None], counts.shape[1]
    right, items = counts[..., 0], counts[..., 1] + counts[..., 2]
    return scores + size * (2 * right - scores * items) / np.maximum(1, items.sum(axis=1, keepdims=True))


def swap_variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Variance of the difference of mean scores when predictions are swapped with probability 1/2 for each example.

    For the accuracy of one run of each model it is (b + c) / N², McNemar's variance.

    Args:
        first, second: (K, N) contributions.
    """
    differences = first.mean(axis=0) - second.mean(axis=0)
    return float((differences**2).sum() / len(differences) ** 2)


def seed_variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> SeedVariance:
    """Estimate the variance over seeds; a model with a single run is assumed to vary like the other.

    Args:
        first, second: (K, N) contributions; K is above 1 for at least one of them.
    """
    several = [model for model in (first, second) if len(model) > 1]
    # the variance of a mean over K runs is 1 / K of a run's; where one model stands for both, it has both shares
    shares = [1 / len(first) + 1 / len(second)] if len(several) == 1 else [1 / len(model) for model in several]
    between = [share * float(model.mean(axis=1).var(ddof=1)) for share, model in zip(shares, several, strict=True)]
    within = [share * interaction(model) / model.shape[1] for share, model in zip(shares, several, strict=True)]
    squares = sum(part**2 / (len(model) - 1) for part, model in zip(between, several, strict=True))
    return SeedVariance(sum(between), sum(within), sum(between) ** 2 / squares if squares else np.inf)


def difference_variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> DifferenceVariance:
    """Variance of the difference of two models' mean scores over other examples and other seeds.

    Both variances, over examples and over runs, contain `within`, which is counted once. With few runs, `between` can
    fall below `within` by chance: using it as it is makes the test too liberal, and replacing it by `within` too
    conservative. Their mean keeps the error rate near the level (docs/comparing.md).

    Args:
        first, second: (K, N) contributions.
    """
    swaps = swap_variance(first, second)
    if len(first) == len(second) == 1:
        return DifferenceVariance(swaps, np.inf)
    seeds = seed_variance(first, second)
    models = max(0.0, swaps - seeds.within)  # examples that are harder for one model than for the other
    liberal, conservative = models + seeds.between, models + max(seeds.between, seeds.within)
    degrees = seeds.degrees * (conservative / seeds.between) ** 2 if seeds.between else np.inf
    return DifferenceVariance((liberal + conservative) / 2, degrees)


def interaction(values: NDArray[np.float64]) -> float:
    """Residual variance of (K, N) contributions in a two-way layout of runs and examples: how much runs disagree."""
    residuals = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    runs, examples = values.shape
    return float((residuals**2).sum() / ((runs - 1) * max(1, examples - 1)))
