"""Is one model better than another? Paired tests on the same test examples, with seeds as a source of variance.

Models are compared by the counts of their runs, (K, N, 3): K runs, N test examples, and of each example how many items
(labels, entities) are right, found and gold.

- One run of each model: McNemar's score test for accuracy, approximate randomisation for F1. The result applies to
  these two trained networks only.
- Several runs of at least one model: Student's t-test with a variance over examples and seeds.

`docs/comparing.md` has the equations and the error rates of the tests.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from unroll.statistics.metrics import micro_f1
from unroll.statistics.paired_tests import mcnemar_test, randomisation_test, seeds_test

RESAMPLES = 10_000


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same test examples. Scores are fractions, means over seeds.

    Args:
        difference: first minus second.
        low, high: confidence interval of the difference; it excludes 0 exactly where `p_value` is below the level.
        standard_error: of the difference.
        degrees_of_freedom: infinite for one run of each model.
    """

    first_score: float
    second_score: float
    difference: float
    low: float
    high: float
    p_value: float
    standard_error: float
    degrees_of_freedom: float


def compare_counts(
    first: NDArray[np.int64], second: NDArray[np.int64], task: str, level: float = 0.05, seed: int = 0
) -> PairedComparison:
    """Test whether two models differ in accuracy (`task="classification"`) or F1 (any other task).

    Args:
        first, second: (K, N, 3) counts of each model's runs; the K may differ.
        level: significance level; the interval is at 1 − level.
        seed: of the random swaps, which are used only for F1 with one run of each model.
    """
    if len(first) > 1 or len(second) > 1:
        test = seeds_test(first, second, level)
    elif task == "classification":
        test = mcnemar_test(first, second, level)
    else:
        test = randomisation_test(first, second, level, seed)
    one, other = (float(micro_f1(counts).mean()) for counts in (first, second))
    return PairedComparison(first_score=one, second_score=other, difference=one - other, **test._asdict())


def compare_all(
    models: Mapping[str, NDArray[np.int64]],
    task: str,
    level: float = 0.05,
    seed: int = 0,
    deterministic: Collection[str] = (),
) -> dict[tuple[str, str], PairedComparison]:
    """Apply :func:`compare_counts` to all pairs of models, in their order; p-values are not adjusted.

    Args:
        models: (K, N, 3) counts of each model's runs.
        deterministic: models that do not depend on the seed. A single run of such a model has no variance over seeds
            when it is compared with several runs of another.
    """

    def beside(name: str, other: str) -> NDArray[np.int64]:
        """(K, N, 3): the runs; two equal ones if the single run of a model does not depend on the seed."""
        is_repeated = name in deterministic and len(models[name]) == 1 < len(models[other])
        return models[name].repeat(2, axis=0) if is_repeated else models[name]

    return {
        (first, second): compare_counts(beside(first, second), beside(second, first), task, level, seed)
        for first, second in combinations(models, 2)
    }


def cautious_interval(
    first: NDArray[np.int64], second: NDArray[np.int64], task: str, level: float = 0.05
) -> tuple[float, float]:
    """Interval of the difference of :func:`compare_counts` for non-inferiority, valid for small test splits.

    Two examples are added, one that only the first model gets right and one that only the second does (Agresti and Min
    2005), so that the interval has a positive width even where the models agree on every example.
    """
    alone = np.array([[1, 1, 1], [0, 1, 1]])  # right, found and gold
    counts = [
        np.concatenate([model, np.broadcast_to(more, (len(model), 2, 3))], axis=1)
        for model, more in ((first, alone), (second, alone[::-1]))
    ]
    found = compare_counts(counts[0], counts[1], task, level)
    return found.low, found.high


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values for multiple tests (Holm 1979), which controls the family-wise error rate.

    Args:
        p_values: (M,) in any order.

    Returns:
        (M,) adjusted p-values, at most 1; reject those below the level.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)[np.argsort(order)]


def interval_over_seeds(scores: Sequence[float], level: float = 0.05) -> tuple[float, float]:
    """Student's confidence interval of the mean score over seeds, on this test split; NaN for fewer than two scores."""
    if len(scores) < 2:
        return float("nan"), float("nan")
    half = stats.t.isf(level / 2, len(scores) - 1) * stats.sem(scores)
    return float(np.mean(scores) - half), float(np.mean(scores) + half)


def interval_over_examples(counts: NDArray[np.int64], level: float = 0.05, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap (Efron 1979) over test examples of the mean score of trained models.

    Args:
        counts: (K, N, 3) counts of the model's runs.
        seed: of the resampling.

    Returns:
        The ends of the interval at 1 − level; NaN where all resamples have the same score, since such a test split
        gives no information about the variation over examples.
    """
    rows, sizes = np.unique(counts.swapaxes(0, 1), axis=0, return_counts=True)  # (D, K, 3) distinct examples
    drawn = np.random.default_rng(seed).multinomial(counts.shape[1], sizes / sizes.sum(), RESAMPLES)  # (RESAMPLES, D)
    totals = np.einsum("bd,dkc->bkc", drawn, rows)
    low, high = np.quantile(micro_f1(totals[:, :, None]).mean(axis=1), [level / 2, 1 - level / 2])
    return (float(low), float(high)) if low < high else (float("nan"), float("nan"))
