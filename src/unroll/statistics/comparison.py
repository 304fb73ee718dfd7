"""Is one model better than another? Paired tests on the same test examples, with seeds as a source of variance.

One run of each model: McNemar's score test for accuracy, approximate randomisation for F1; the result applies to these
two trained networks only. Several runs of at least one model: Student's t-test with a variance over examples and seeds.
`docs/comparing.md` has the equations and the error rates. Models are given by the counts of their runs, (K, N, 3): K
runs, N examples, and of each how many items (labels, entities) are right, found and gold. Intervals are at 1 − level.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from unroll.statistics.metrics import Counts, micro_f1
from unroll.statistics.paired_tests import PairedTest, mcnemar_test, randomisation_test, seeds_test

RESAMPLES = 10_000


@dataclass(frozen=True)
class PairedComparison(PairedTest):
    """The test of two models and their scores, which are fractions and means over seeds."""

    first_score: float
    second_score: float
    difference: float


def compare_counts(first: Counts, second: Counts, task: str, level: float = 0.05) -> PairedComparison:
    """Test whether two models differ in accuracy (`task="classification"`) or in `micro_f1` (any other task)."""
    if len(first) > 1 or len(second) > 1:
        test = seeds_test(first, second, level)
    elif task == "classification":
        test = mcnemar_test(first, second, level)
    else:
        test = randomisation_test(first, second, level, seed=0)
    one, other = (float(micro_f1(counts).mean()) for counts in (first, second))
    return PairedComparison(**vars(test), first_score=one, second_score=other, difference=one - other)


def compare_all(
    models: Mapping[str, Counts], task: str, level: float = 0.05, deterministic: Collection[str] = ()
) -> dict[tuple[str, str], PairedComparison]:
    """Apply :func:`compare_counts` to all pairs of models, in their order; p-values are not adjusted.

    A single run of a model that does not depend on the seed (`deterministic`) has no variance over seeds when it is
    compared with several runs of another.
    """

    def beside(name: str, other: str) -> Counts:
        """The runs; two equal ones if the single run of a model does not depend on the seed."""
        is_repeated = name in deterministic and len(models[name]) == 1 < len(models[other])
        return models[name].repeat(2, axis=0) if is_repeated else models[name]

    return {
        (first, second): compare_counts(beside(first, second), beside(second, first), task, level)
        for first, second in combinations(models, 2)
    }


def cautious_interval(first: Counts, second: Counts, task: str, level: float = 0.05) -> tuple[float, float]:
    """Interval of the difference of :func:`compare_counts` for non-inferiority, valid for small test splits.

    Two examples are added, one that only the first model gets right and one that only the second does (Agresti and Min
    2005), so that the interval has a positive width even where the models agree on every example.
    """
    alone = np.array([[1, 1, 1], [0, 1, 1]])  # right, found and gold
    one, other = (
        np.concatenate([model, np.broadcast_to(more, (len(model), 2, 3))], axis=1)
        for model, more in ((first, alone), (second, alone[::-1]))
    )
    found = compare_counts(one, other, task, level)
    return found.low, found.high


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust (M,) p-values for multiple tests (Holm 1979), which controls the family-wise error rate."""
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


def interval_over_examples(counts: Counts, level: float = 0.05, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap (Efron 1979) over test examples of the mean score of trained models; resampled by `seed`.

    NaN where all resamples have the same score: such a test split says nothing about the variation over examples.
    """
    rows, sizes = np.unique(counts.swapaxes(0, 1), axis=0, return_counts=True)  # (D, K, 3) distinct examples
    drawn = np.random.default_rng(seed).multinomial(counts.shape[1], sizes / sizes.sum(), RESAMPLES)  # (RESAMPLES, D)
    totals = np.einsum("bd,dkc->bkc", drawn, rows)
    low, high = np.quantile(micro_f1(totals[:, :, None]).mean(axis=1), [level / 2, 1 - level / 2])
    return (float(low), float(high)) if low < high else (float("nan"), float("nan"))


def compact_letters(models: Sequence[str], significant_pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Assign letters so that two models share one if and only if they do not differ significantly.

    The insert-and-absorb algorithm of Piepho (2004). Letters are in the order of `models`: `a` is the first model's.
    """
    groups = [frozenset(models)]
    for pair in significant_pairs:
        split: list[frozenset[str]] = []
        for group in groups:
            split += [group - {model} for model in pair] if group.issuperset(pair) else [group]
        groups = [group for group in dict.fromkeys(split) if not any(group < other for other in split)]
    groups.sort(key=lambda group: [model not in group for model in models])
    alphabet = (letter for letter in map(chr, range(ord("a"), 0x110000)) if letter.islower())  # a to z, then others
    letters = dict.fromkeys(models, "")
    for letter, group in zip(alphabet, groups, strict=False):
        for model in group:
            letters[model] += letter
    return letters
