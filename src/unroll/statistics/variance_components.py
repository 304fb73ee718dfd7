"""The variance of the difference between two models, over test examples and over seeds.

Examples are crossed with runs, and runs are nested in models, like cases and readers in multi-reader studies
(Obuchowski and Rockette 1995; Hillis 2014). `first` and `second` are the `contributions` of each model's runs, (K, N).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unroll.statistics.metrics import Counts, micro_f1


class DifferenceVariance(NamedTuple):
    """Squared standard error of a difference, and its degrees of freedom, infinite if scores do not vary over seeds."""

    total: float
    degrees: float


class SeedVariance(NamedTuple):
    """Variance of a difference of mean scores over seeds, as estimated from the runs.

    `between` is from the spread of the runs' scores, with `degrees` of freedom (Welch 1938). `within` is the part of it
    that comes from the finite test split: runs disagree on examples even where their true scores are equal.
    """

    between: float
    within: float
    degrees: float


def contributions(counts: Counts) -> NDArray[np.float64]:
    """What each example adds to a run's score, which is the mean of its contributions: counts (K, N, 3) → (K, N).

    Accuracy: 1 for a right prediction, else 0. F1: the score plus the (first-order) influence of the example on it.
    """
    scores, size = micro_f1(counts)[:, None], counts.shape[1]
    right, items = counts[..., 0], counts[..., 1] + counts[..., 2]
    return scores + size * (2 * right - scores * items) / np.maximum(1, items.sum(axis=1, keepdims=True))


def swap_variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Variance of the difference of mean scores when predictions are swapped with probability 1/2 for each example.

    For the accuracy of one run of each model it is (b + c) / N², McNemar's variance.
    """
    differences = first.mean(axis=0) - second.mean(axis=0)
    return float((differences**2).sum() / len(differences) ** 2)


def seed_variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> SeedVariance:
    """Estimate the variance over seeds; if one model has a single run, it is assumed to vary like the other."""
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
