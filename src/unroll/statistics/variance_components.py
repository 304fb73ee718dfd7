"""The variance of a difference between two models, over test examples and over seeds.

Examples are crossed with runs, and runs nested in models, as cases and readers are in multi-reader studies (Obuchowski
and Rockette 1995; Hillis 2014). Everything is computed of contributions: what an example adds to a run's score.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unroll.evaluation.example_counts import micro_f1


class DifferenceVariance(NamedTuple):
    """total: its root is the standard error. degrees: of freedom; infinite where seeds do not vary, or for one each."""

    total: float
    degrees: float


class SeedVariance(NamedTuple):
    """What the runs say of the variance that a difference of mean scores has by its seeds.

    between: by the spread of the runs' scores. within: the part of it that the finite test split makes: runs disagree
    on examples, even where their true scores are the same. degrees: of freedom of `between` (Welch 1938).
    """

    between: float
    within: float
    degrees: float


def contributions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K, N, 3) → (K, N): what each example adds to the run's score, which is their mean.

    Accuracy: 1 where right, 0 where not. F1: the score, and how far the example moves it (to first order).
    """
    scores, size = micro_f1(counts)[:, None], counts.shape[1]
    right, items = counts[..., 0], counts[..., 1] + counts[..., 2]
    return scores + size * (2 * right - scores * items) / np.maximum(1, items.sum(axis=1, keepdims=True))


def swap_variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Of the difference of mean scores, when the two models swap their answers to each example with probability 1/2.

    first, second: (K, N) contributions. Of the accuracy of one run each it is (b + c) / N², McNemar's variance.
    """
    differences = first.mean(axis=0) - second.mean(axis=0)
    return float((differences**2).sum() / len(differences) ** 2)


def seed_variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> SeedVariance:
    """first, second: (K, N) contributions, one of K above 1. Seeds of a single run vary as the other model's do."""
    several = [model for model in (first, second) if len(model) > 1]
    # the variance of a mean over K runs is 1 / K of a run's; a model that stands for the other has its share too
    shares = [1 / len(first) + 1 / len(second)] if len(several) == 1 else [1 / len(model) for model in several]
    between = [share * float(model.mean(axis=1).var(ddof=1)) for share, model in zip(shares, several, strict=True)]
    within = [share * interaction(model) / model.shape[1] for share, model in zip(shares, several, strict=True)]
    squares = sum(part**2 / (len(model) - 1) for part, model in zip(between, several, strict=True))
    return SeedVariance(sum(between), sum(within), sum(between) ** 2 / squares if squares else np.inf)


def difference_variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> DifferenceVariance:
    """Of the difference of two models' mean scores, for other examples and other seeds.

    first, second: (K, N) contributions. The variances over examples and over runs both hold `within`: it counts once.
    Few runs may vary by less than `within` by luck. To believe them is to find too much; to put `within` in their
    place is to find too little. The mean of the two is what errs as often as it says (docs/comparing.md).
    """
    swaps = swap_variance(first, second)
    if len(first) == len(second) == 1:
        return DifferenceVariance(swaps, np.inf)
    seeds = seed_variance(first, second)
    models = max(0.0, swaps - seeds.within)  # examples that one model finds harder than the other does
    believed, cautious = models + seeds.between, models + max(seeds.between, seeds.within)
    degrees = seeds.degrees * (cautious / seeds.between) ** 2 if seeds.between else np.inf
    return DifferenceVariance((believed + cautious) / 2, degrees)


def interaction(values: NDArray[np.float64]) -> float:
    """Residual variance of (K, N) contributions after the means of runs and of examples: the runs' disagreement."""
    residuals = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    runs, examples = values.shape
    return float((residuals**2).sum() / ((runs - 1) * max(1, examples - 1)))
