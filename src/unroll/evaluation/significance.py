"""Is one model better than another? Paired tests on the same test examples, with seeds as a source of variance.

One run of each model: McNemar's exact test for accuracy, approximate randomisation for F1 (Noreen 1989; Yeh 2000).
The answer is about these two trained networks only.

Several runs: test examples are crossed with runs, and runs nested in models, as readers are in multi-reader studies
(Obuchowski and Rockette 1995; Hillis 2014). `docs/comparing.md` has the equations and how often the test errs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from unroll.evaluation.example_counts import counts_of_runs, micro_f1

SWAPS = 10_000
DIGITS = 12  # of differences: sums in another order are equal ones


@dataclass(frozen=True)
class Comparison:
    """Two models on the same test examples. Scores are fractions, means over seeds.

    difference: first minus second. low, high: its interval; 0 lies outside where `p_value` is below the level.
    standard_error: of the difference. degrees_of_freedom: infinite where the seeds add nothing to it.
    """

    first_score: float
    second_score: float
    difference: float
    low: float
    high: float
    p_value: float
    standard_error: float
    degrees_of_freedom: float


def compare_predictions(
    first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], task: str, level: float = 0.05, seed: int = 0
) -> Comparison:
    """Test whether two models differ in accuracy (classification), entity F1 (labeling) or micro F1 (multilabel).

    first, second: the predictions of each run, with the columns row, label and predicted of ``predictions.parquet``.
    seed: of the random swaps, which only F1 of one run each has.

    Raises ValueError for no run, for no example, for runs on other examples, for an unknown task, for a level outside
    0..1.
    """
    return compare_models({"first": first, "second": second}, task, level, seed)["first", "second"]


def compare_models(
    models: Mapping[str, Sequence[pd.DataFrame]], task: str, level: float = 0.05, seed: int = 0
) -> dict[tuple[str, str], Comparison]:
    """:func:`compare_predictions` of all pairs, in the order of `models`; the p-values are those of each pair alone."""
    if not 0 < level < 1:
        raise ValueError(f"level={level}; accepted: above 0, below 1")
    _check_same_examples(models)
    counts = {name: counts_of_runs(runs, task) for name, runs in models.items()}
    return {
        (first, second): compare_counts(counts[first], counts[second], task, level, seed)
        for first, second in combinations(models, 2)
    }


def compare_counts(
    first: NDArray[np.int64], second: NDArray[np.int64], task: str, level: float = 0.05, seed: int = 0
) -> Comparison:
    """The same, of what :func:`unroll.evaluation.example_counts.counts_of_runs` has counted: (K, N, 3) each."""
    if max(len(first), len(second)) > 1:
        return _by_variance_components(first, second, level)
    if task == "classification":
        return _by_mcnemar(first, second, level)
    return _by_randomisation(first, second, level, np.random.default_rng(seed))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values of several tests (Holm 1979): those below a level have a family-wise error below it."""
    from statsmodels.stats.multitest import multipletests  # takes seconds to import

    p_values = np.asarray(p_values, dtype=float)
    return np.asarray(multipletests(p_values, method="holm")[1]) if p_values.size else p_values


def interval_over_seeds(scores: Sequence[float], level: float = 0.05) -> tuple[float, float]:
    """Student's interval of the mean score of other seeds, on this test split; NaN for fewer than two scores."""
    if len(scores) < 2:
        return float("nan"), float("nan")
    half = stats.t.isf(level / 2, len(scores) - 1) * stats.sem(scores)
    return float(np.mean(scores) - half), float(np.mean(scores) + half)


def _by_mcnemar(first: NDArray[np.int64], second: NDArray[np.int64], level: float) -> Comparison:
    """McNemar 1947, exact: of the examples that just one model has right, each is as likely to be either's.

    The interval is Clopper and Pearson's of the first model's share of them, as a difference of accuracy.
    """
    right, other = first[0, :, 0], second[0, :, 0]
    wins, losses, size = int((right > other).sum()), int((right < other).sum()), len(right)
    differing = wins + losses
    if not differing:
        return _comparison(first, second, (0.0, 0.0), 1.0, 0.0)
    test = stats.binomtest(wins, differing)
    low, high = (differing / size * (2 * share - 1) for share in test.proportion_ci(1 - level))
    return _comparison(first, second, (low, high), test.pvalue, np.sqrt(differing) / size)


def _by_randomisation(
    first: NDArray[np.int64], second: NDArray[np.int64], level: float, generator: np.random.Generator
) -> Comparison:
    """Approximate randomisation: how often do random swaps of the two answers to an example differ as much?

    The interval reaches as far from the difference as the swaps do with probability 1 − level.
    """
    difference = round(_mean_score(first) - _mean_score(second), DIGITS)
    swapped = _swapped_differences(first[0], second[0], generator).round(DIGITS)
    distances = np.sort([*np.abs(swapped), np.inf])[::-1]
    p_value = float(np.mean(distances >= abs(difference)))  # (1 + hits) / (1 + SWAPS)
    half = distances[int(np.ceil(level * len(distances))) - 1]  # p is below the level just where |difference| > half
    return _comparison(first, second, (difference - half, difference + half), p_value, swapped.std())


def _swapped_differences(
    first: NDArray[np.int64], second: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """(SWAPS,) differences of F1 after swapping the counts, (N, 3) each, of every example with probability 1/2.

    Examples with the same counts are interchangeable: how many of them are swapped is binomial.
    """
    changes, sizes = np.unique(second - first, axis=0, return_counts=True)
    moved = generator.binomial(sizes, 0.5, (SWAPS, len(sizes))) @ changes  # (SWAPS, 3)
    totals = first.sum(axis=0) + moved, second.sum(axis=0) - moved
    one, other = (micro_f1(total[:, None]) for total in totals)
    return one - other


def _by_variance_components(first: NDArray[np.int64], second: NDArray[np.int64], level: float) -> Comparison:
    """Student's t of the difference, whose variance is that of random swaps and that of other seeds."""
    one, other = _contributions(first), _contributions(second)
    differences = one.mean(axis=0) - other.mean(axis=0)  # (N,)
    swaps = (differences**2).sum() / len(differences) ** 2
    seeds = _SeedVariance.of(one, other)
    variance = swaps + max(0.0, seeds.between - seeds.within)
    degrees = seeds.degrees * (variance / seeds.between) ** 2 if seeds.between > seeds.within else np.inf
    error = np.sqrt(variance)
    difference = differences.mean()
    half = stats.t.isf(level / 2, degrees) * error
    p_value = 2 * stats.t.sf(abs(difference) / error, degrees) if error else 1.0
    return _comparison(first, second, (difference - half, difference + half), p_value, error, degrees)


class _SeedVariance(NamedTuple):
    """Of the difference of two means over runs.

    between: by the spread of the runs' scores, which other seeds cause and, by chance, the finite test split.
    within: the share of the latter. degrees: Welch and Satterthwaite's degrees of freedom of `between`.
    """

    between: float
    within: float
    degrees: float

    @classmethod
    def of(cls, *models: NDArray[np.float64]) -> "_SeedVariance":
        """models: (K, N) contributions of each. Seeds of a model with a single run vary as the other's do."""
        several = [contributions for contributions in models if len(contributions) > 1]
        weights = [sum(1 / len(model) for model in models if model is one or len(model) == 1) for one in several]
        between = [weight * one.mean(axis=1).var(ddof=1) for weight, one in zip(weights, several, strict=True)]
        within = [weight * _interaction(one) / one.shape[1] for weight, one in zip(weights, several, strict=True)]
        spread = sum(part**2 / (len(one) - 1) for part, one in zip(between, several, strict=True))
        return cls(sum(between), sum(within), sum(between) ** 2 / spread if spread else np.inf)


def _interaction(contributions: NDArray[np.float64]) -> float:
    """Residual variance of (K, N) contributions after the means of runs and of examples: the seeds' disagreement."""
    by_run, by_example = contributions.mean(axis=1, keepdims=True), contributions.mean(axis=0)
    residuals = contributions - by_run - by_example + contributions.mean()
    runs, examples = contributions.shape
    return float((residuals**2).sum() / ((runs - 1) * max(1, examples - 1)))


def _contributions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K, N, 3) → (K, N): what each example adds to the run's score, which is their mean.

    Accuracy: 1 where right, 0 where not. F1: the score, and how far the example moves it (to first order).
    """
    scores, size = micro_f1(counts)[:, None], counts.shape[1]
    right, items = counts[..., 0], counts[..., 1] + counts[..., 2]
    return scores + size * (2 * right - scores * items) / np.maximum(1, items.sum(axis=1, keepdims=True))


def _mean_score(counts: NDArray[np.int64]) -> float:
    return float(micro_f1(counts).mean())


def _comparison(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    interval: tuple[float, float],
    p_value: float,
    standard_error: float,
    degrees_of_freedom: float = np.inf,
) -> Comparison:
    one, other = _mean_score(first), _mean_score(second)
    numbers = (one, other, one - other, *interval, p_value, standard_error, degrees_of_freedom)
    return Comparison(*map(float, numbers))


def _check_same_examples(models: Mapping[str, Sequence[pd.DataFrame]]) -> None:
    """Raise ValueError for a model without a run, and for runs that differ in their rows or gold labels."""
    for name, runs in models.items():
        if not runs:
            raise ValueError(f"no run of {name} to compare: accepted is one or more")
    examples = {name: [_examples(run) for run in runs] for name, runs in models.items()}
    reference_name, (reference, *_) = next(iter(examples.items()))
    if not reference:
        raise ValueError("the test split is empty: nothing to compare")
    for name, scored in examples.items():
        if any(rows != reference for rows in scored):
            raise ValueError(
                f"{name} and {reference_name} were not scored on the same test examples in the same order: "
                "evaluate both on the same data"
            )


def _examples(predictions: pd.DataFrame) -> list[tuple[Any, Any]]:
    labels = [label if isinstance(label, str) else tuple(label) for label in predictions["label"]]
    return list(zip(predictions["row"].tolist(), labels, strict=True))
