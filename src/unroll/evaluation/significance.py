"""Is one model better than another? Paired tests on the same test examples, with seeds as a source of variance.

One run of each model: McNemar's exact test for accuracy, approximate randomisation for F1. The answer is then about
these two trained networks only. Several runs: Student's t, with a variance over examples and seeds.
`docs/comparing.md` has the equations, and how often the tests err.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from unroll.evaluation.example_counts import counts_of_runs, micro_f1
from unroll.statistics.paired_tests import mcnemar_test, randomisation_test, seeds_test

RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """Two models on the same test examples. Scores are fractions, means over seeds.

    difference: first minus second. low, high: its interval; 0 lies outside just where `p_value` is below the level.
    standard_error: of the difference. degrees_of_freedom: infinite for one run of each.
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
    models: Mapping[str, Sequence[pd.DataFrame]],
    task: str,
    level: float = 0.05,
    seed: int = 0,
    seedless: Collection[str] = (),
) -> dict[tuple[str, str], Comparison]:
    """:func:`compare_predictions` of all pairs, in the order of `models`; the p-values are those of each pair alone.

    seedless: models that no seed changes. A single run of one, beside several of another, is not taken to vary.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}; accepted: above 0, below 1")
    _check_same_examples(models)
    counts = {name: counts_of_runs(runs, task) for name, runs in models.items()}

    def beside(name: str, other: str) -> NDArray[np.int64]:
        """(K, N, 3): its runs; two that are alike say that seeds change nothing."""
        is_repeated = name in seedless and len(counts[name]) == 1 < len(counts[other])
        return counts[name].repeat(2, axis=0) if is_repeated else counts[name]

    return {
        (first, second): compare_counts(beside(first, second), beside(second, first), task, level, seed)
        for first, second in combinations(models, 2)
    }


def compare_counts(
    first: NDArray[np.int64], second: NDArray[np.int64], task: str, level: float = 0.05, seed: int = 0
) -> Comparison:
    """The same, of what :func:`unroll.evaluation.example_counts.counts_of_runs` has counted: (K, N, 3) each."""
    if len(first) > 1 or len(second) > 1:
        test = seeds_test(first, second, level)
    elif task == "classification":
        test = mcnemar_test(first, second, level)
    else:
        test = randomisation_test(first, second, level, seed)
    one, other = (float(micro_f1(counts).mean()) for counts in (first, second))
    return Comparison(first_score=one, second_score=other, difference=one - other, **test._asdict())


def cautious_interval(
    first: NDArray[np.int64], second: NDArray[np.int64], task: str, level: float = 0.05
) -> tuple[float, float]:
    """Of the difference of :func:`compare_counts`, to tell that it is small: small test splits do not.

    It counts two examples more, one that each model alone has right (Agresti and Min 2005), so that it has a width
    also where the models differ on no example.
    """
    alone = np.array([[1, 1, 1], [0, 1, 1]])  # right, found and gold
    counts = [
        np.concatenate([model, np.broadcast_to(more, (len(model), 2, 3))], axis=1)
        for model, more in ((first, alone), (second, alone[::-1]))
    ]
    found = compare_counts(counts[0], counts[1], task, level)
    return found.low, found.high


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


def interval_over_examples(
    runs: Sequence[pd.DataFrame], task: str, level: float = 0.05, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap (Efron 1979) of the mean score of these trained networks, on other texts.

    runs: as in :func:`compare_predictions`. Raises ValueError as it does. NaN where all resamples score alike: they
    then know of no text that is another.
    """
    _check_same_examples({"the model": runs})
    counts = counts_of_runs(runs, task)  # (K, N, 3)
    rows, sizes = np.unique(counts.swapaxes(0, 1), axis=0, return_counts=True)  # (D, K, 3) distinct examples
    drawn = np.random.default_rng(seed).multinomial(counts.shape[1], sizes / sizes.sum(), RESAMPLES)  # (RESAMPLES, D)
    totals = np.einsum("bd,dkc->bkc", drawn, rows)
    low, high = np.quantile(micro_f1(totals[:, :, None]).mean(axis=1), [level / 2, 1 - level / 2])
    return (float(low), float(high)) if low < high else (float("nan"), float("nan"))


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
