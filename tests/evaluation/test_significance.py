import dataclasses
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.contingency_tables import mcnemar

from unroll.evaluation import significance
from unroll.evaluation.example_counts import micro_f1
from unroll.evaluation.significance import (
    Comparison,
    compare_counts,
    compare_models,
    compare_predictions,
    holm,
    interval_over_seeds,
)

Counts = NDArray[np.int64]


def classified(*runs: str) -> list[pd.DataFrame]:
    """One run a string: 1 where an example is right."""
    return [
        pd.DataFrame({"row": range(len(run)), "label": "yes", "predicted": ["yes" if c == "1" else "no" for c in run]})
        for run in runs
    ]


def tagged(*runs: list[str]) -> list[pd.DataFrame]:
    """One run a list of sentences of the tags B and O, all to be B."""
    tags = {"B": "B-X", "O": "O"}
    return [
        pd.DataFrame(
            {
                "row": range(len(run)),
                "label": [["B-X"] * len(sentence) for sentence in run],
                "predicted": [[tags[letter] for letter in sentence] for sentence in run],
            }
        )
        for run in runs
    ]


def accuracy_counts(runs: NDArray[np.bool_]) -> Counts:
    return np.stack([runs, np.ones_like(runs), np.ones_like(runs)], axis=-1).astype(np.int64)


def random_counts(generator: np.random.Generator, runs: int, gold: NDArray[np.int64], skill: float) -> Counts:
    """Sentences with entities to find; how easily depends on the model, the run and the sentence."""
    ease = np.clip(skill + generator.normal(0, 0.1, (runs, 1)) + generator.normal(0, 0.3, len(gold)), 0, 1)
    right = generator.binomial(gold, ease)
    found = right + generator.binomial(2, 0.2, right.shape)
    return np.stack([right, found, np.broadcast_to(gold, right.shape)], axis=-1)


# --- one run each


def test_mcnemar_of_the_approval_ratings_of_agresti() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: -0.04 ± 0.02, z² = 17.36."""
    first = classified("1" * 794 + "1" * 150 + "0" * 86 + "0" * 570)
    second = classified("1" * 794 + "0" * 150 + "1" * 86 + "0" * 570)
    found = compare_predictions(second, first, "classification")
    assert (found.first_score, found.second_score) == (880 / 1600, 944 / 1600)
    assert found.difference == pytest.approx(-0.04)
    assert found.p_value == pytest.approx(mcnemar([[794, 150], [86, 570]], exact=True).pvalue)
    assert (found.difference / found.standard_error) ** 2 == pytest.approx(17.36, abs=0.005)
    assert (found.low, found.high) == pytest.approx((-0.06, -0.02), abs=0.002)
    assert found.degrees_of_freedom == np.inf


@given(arrays(bool, (2, 40)))
def test_accuracy_of_one_run_each_is_tested_as_by_statsmodels(right: NDArray[np.bool_]) -> None:
    first, second = right
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    found = compare_counts(accuracy_counts(right[:1]), accuracy_counts(right[1:]), "classification")
    assert found.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_f1_of_one_run_each_is_tested_as_by_scipy() -> None:
    """All 2^10 swaps there, 10,000 random ones here."""
    generator = np.random.default_rng(0)
    gold = generator.integers(1, 5, 10)
    first, second = (random_counts(generator, 1, gold, skill) for skill in (0.9, 0.4))

    def difference(rows: NDArray[np.int64], others: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        """Of examples packed as one number each."""
        one, other = (np.stack([part // 10_000, part // 100 % 100, part % 100], axis=-1) for part in (rows, others))
        return micro_f1(one) - micro_f1(other)

    packed = [(10_000 * counts[0, :, 0] + 100 * counts[0, :, 1] + counts[0, :, 2]) for counts in (first, second)]
    exact = stats.permutation_test(
        packed, difference, permutation_type="samples", n_resamples=np.inf, vectorized=True, axis=-1
    )
    spread = exact.null_distribution
    found = compare_counts(first, second, "labeling")
    assert found.difference == pytest.approx(exact.statistic)
    assert 0.1 < exact.pvalue < 0.5
    assert found.p_value == pytest.approx(np.mean(np.abs(spread) >= abs(exact.statistic) - 1e-12), abs=0.01)
    assert found.standard_error == pytest.approx(spread.std(), rel=0.03)


def test_random_swaps_are_those_of_the_seed() -> None:
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 4, 30)
    first, second = (random_counts(generator, 1, gold, skill) for skill in (0.8, 0.6))
    found = [compare_counts(first, second, "labeling", seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


# --- several runs


def plain_loop(first: Counts, second: Counts) -> tuple[float, float, float]:
    """Difference, standard error and degrees of freedom of accuracy, by the equations of docs/comparing.md."""
    models = [counts[:, :, 0].tolist() for counts in (first, second)]
    size = len(models[0][0])
    swaps = between = within = spread = 0.0
    for i in range(size):
        one, other = (sum(run[i] for run in runs) / len(runs) for runs in models)
        swaps += (one - other) ** 2 / size**2
    for runs in models:
        k = len(runs)
        scores = [sum(run) / size for run in runs]
        mean = sum(scores) / k
        of_scores = sum((score - mean) ** 2 for score in scores) / (k - 1) / k
        squares = 0.0
        for run, score in zip(runs, scores, strict=True):
            for i in range(size):
                squares += (run[i] - score - sum(other[i] for other in runs) / k + mean) ** 2
        within += squares / (k - 1) / (size - 1) / size / k
        between += of_scores
        spread += of_scores**2 / (k - 1)
    variance = swaps + max(0, between - within)
    degrees = variance**2 / spread if between > within else np.inf
    difference = np.mean(models[0]) - np.mean(models[1])
    return float(difference), variance**0.5, degrees


@pytest.mark.parametrize("spread", [0.0, 0.1])
@pytest.mark.parametrize("runs", [(2, 2), (3, 5)])
def test_several_runs_are_compared_as_by_a_plain_loop(runs: tuple[int, int], spread: float) -> None:
    generator = np.random.default_rng(3)
    skills = generator.normal(0.7, spread, sum(runs))
    right = generator.random((sum(runs), 60)) < skills[:, None]
    first, second = accuracy_counts(right[: runs[0]]), accuracy_counts(right[runs[0] :])
    found = compare_counts(first, second, "classification")
    difference, error, degrees = plain_loop(first, second)
    assert (found.difference, found.standard_error, found.degrees_of_freedom) == pytest.approx(
        (difference, error, degrees)
    )
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(difference) / error, degrees))
    interval = stats.t.interval(0.95, degrees, difference, error)
    assert (found.low, found.high) == pytest.approx(interval)


def test_the_degrees_of_freedom_of_seeds_are_welch_s() -> None:
    right = np.random.default_rng(0).random((7, 50)) < np.linspace(0.3, 0.9, 7)[:, None]
    first, second = right[:3].astype(float), right[3:].astype(float)
    seeds = significance._SeedVariance.of(first, second)
    welch = stats.ttest_ind(first.mean(axis=1), second.mean(axis=1), equal_var=False)
    assert seeds.degrees == pytest.approx(welch.df)
    assert (first.mean() - second.mean()) / np.sqrt(seeds.between) == pytest.approx(welch.statistic)


def test_the_disagreement_of_seeds_is_the_residual_of_a_two_way_analysis() -> None:
    values = np.random.default_rng(0).random((3, 12))
    frame = pd.DataFrame([(k, i, values[k, i]) for k, i in np.ndindex(3, 12)], columns=["run", "example", "value"])
    assert significance._interaction(values) == pytest.approx(ols("value ~ C(run) + C(example)", frame).fit().mse_resid)


def test_a_contribution_to_f1_is_what_leaving_the_example_out_takes_away() -> None:
    """Jackknife pseudo-values, which agree up to 1 / N."""
    generator = np.random.default_rng(0)
    counts = random_counts(generator, 1, generator.integers(0, 4, 2000), 0.8)
    contributions = significance._contributions(counts)[0]
    whole = micro_f1(counts[0])
    assert contributions.mean() == pytest.approx(whole)
    for example in range(20):
        rest = micro_f1(np.delete(counts[0], example, axis=0))
        assert contributions[example] == pytest.approx(whole + (2000 - 1) * (whole - rest), abs=0.01)


def test_runs_that_do_not_vary_are_compared_as_one() -> None:
    """McNemar's statistic, by its normal approximation."""
    first, second = "1" * 60 + "1" * 25 + "0" * 15, "1" * 60 + "0" * 25 + "1" * 15
    found = compare_predictions(classified(*[first] * 3), classified(*[second] * 3), "classification")
    table = [[60, 25], [15, 0]]
    assert found.p_value == pytest.approx(mcnemar(table, exact=False, correction=False).pvalue)
    assert found.degrees_of_freedom == np.inf


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 5))
def test_seeds_never_make_a_difference_more_significant(seed: int, first_runs: int, second_runs: int) -> None:
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 4, 50)
    first, second = (random_counts(generator, runs, gold, 0.7) for runs in (first_runs, second_runs))
    contributions = [significance._contributions(counts).mean(axis=0) for counts in (first, second)]
    differences = contributions[0] - contributions[1]
    examples_only = 2 * stats.norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum()))
    found = compare_counts(first, second, "labeling")
    assert found.p_value >= examples_only - 1e-12


def test_a_single_run_borrows_the_variance_of_the_other_model_s_seeds() -> None:
    generator = np.random.default_rng(0)
    right = generator.random((4, 400)) < np.array([0.8, 0.9, 0.6, 0.75])[:, None]
    one, several = accuracy_counts(right[:1]), accuracy_counts(right[1:])
    found = compare_counts(one, several, "classification")
    variance = right[1:].mean(axis=1).var(ddof=1)
    contributions = right[1:].astype(float)
    noise = significance._interaction(contributions) / 400
    differences = right[0] - contributions.mean(axis=0)
    expected = (differences**2).sum() / 400**2 + (variance - noise) * (1 + 1 / 3)
    assert found.standard_error == pytest.approx(np.sqrt(expected))
    assert found.degrees_of_freedom == pytest.approx(2 * (expected / (variance * (1 + 1 / 3))) ** 2)


# --- every kind


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["classification", "labeling"]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1000),
    st.sampled_from([0.2, 0.05, 0.01]),
)
def test_zero_lies_outside_the_interval_where_p_is_below_the_level(
    task: str, first_runs: int, second_runs: int, seed: int, level: float
) -> None:
    generator = np.random.default_rng(seed)
    gold = generator.integers(1, 2 if task == "classification" else 4, 40)
    first, second = (
        random_counts(generator, runs, gold, skill) for runs, skill in ((first_runs, 0.7), (second_runs, 0.5))
    )
    if task == "classification":
        first[..., 1] = second[..., 1] = 1
    found = compare_counts(first, second, task, level)
    assert found.low <= found.difference <= found.high
    assert (found.p_value < level) == (not found.low <= 0 <= found.high)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1000))
def test_the_order_of_two_models_changes_the_sign_alone(first_runs: int, second_runs: int, seed: int) -> None:
    right = np.random.default_rng(seed).random((first_runs + second_runs, 40)) < 0.7
    first, second = accuracy_counts(right[:first_runs]), accuracy_counts(right[first_runs:])
    found, turned = (compare_counts(*pair, "classification") for pair in ((first, second), (second, first)))
    expected = (-turned.difference, -turned.high, -turned.low, turned.p_value, turned.standard_error)
    assert dataclasses.astuple(found)[2:7] == pytest.approx(expected)


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("task", ["classification", "labeling"])
def test_a_model_does_not_differ_from_itself(task: str, runs: int) -> None:
    predictions = classified(*["1101", "1001"][:runs]) if task == "classification" else tagged(*[["BO", "B"]] * runs)
    found = compare_predictions(predictions, predictions, task)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert found.low == -found.high <= 0


@pytest.mark.parametrize("runs", [1, 3])
def test_without_an_entity_to_find_nothing_differs(runs: int) -> None:
    silent = pd.DataFrame({"row": [0, 1], "label": [["O"], ["O"]], "predicted": [["O"], ["O"]]})
    loud = silent.assign(predicted=[["B-X"], ["O"]])
    found = compare_predictions([silent] * runs, [loud] * runs, "labeling")
    assert (found.first_score, found.second_score, found.p_value) == (0.0, 0.0, 1.0)


def test_all_pairs_are_compared_in_the_order_of_the_models() -> None:
    models = {"gru": classified("1110", "1100"), "fcnn": classified("0000"), "lstm": classified("1111", "1011")}
    found = compare_models(models, "classification")
    assert list(found) == [("gru", "fcnn"), ("gru", "lstm"), ("fcnn", "lstm")]
    for (first, second), comparison in found.items():
        assert comparison == compare_predictions(models[first], models[second], "classification")
    assert isinstance(found["gru", "lstm"], Comparison)


OTHER_ROWS = [run.assign(row=run["row"] + 1) for run in classified("10")]
OTHER_LABELS = [run.assign(label="no") for run in classified("10")]


@pytest.mark.parametrize("second", [OTHER_ROWS, OTHER_LABELS, classified("101"), classified("10") + OTHER_ROWS])
def test_other_examples_are_refused(second: list[pd.DataFrame]) -> None:
    with pytest.raises(ValueError, match="second and first were not scored on the same test examples"):
        compare_predictions(classified("11"), second, "classification")


def test_other_tags_are_refused() -> None:
    with pytest.raises(ValueError, match="same test examples"):
        compare_predictions(tagged(["BO", "B"]), tagged(["B", "BO"]), "labeling")


@pytest.mark.parametrize(
    ("first", "second", "level", "message"),
    [
        (classified("1"), [], 0.05, "no run of second"),
        ([], classified("1"), 0.05, "no run of first"),
        (classified(""), classified(""), 0.05, "the test split is empty"),
        (classified("1"), classified("1"), 0.0, "level=0.0; accepted: above 0, below 1"),
        (classified("1"), classified("1"), 5.0, "level=5.0"),
    ],
)
def test_unusable_input_is_named(
    first: list[pd.DataFrame], second: list[pd.DataFrame], level: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare_predictions(first, second, "classification", level)


# --- several pairs, several seeds


def test_holm_of_a_published_set_of_p_values() -> None:
    """Benjamini and Hochberg 1995, section 4.1: a family-wise error of 0.05 leaves three of the fifteen."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p_values += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    adjusted = holm(p_values[::-1])[::-1]
    assert adjusted[:4].tolist() == pytest.approx([15 * 0.0001, 14 * 0.0004, 13 * 0.0019, 12 * 0.0095])
    assert (adjusted < 0.05).sum() == 3
    assert all(one <= other for one, other in pairwise(adjusted))
    assert holm([]).tolist() == []


def test_the_interval_over_seeds_is_student_s() -> None:
    scores = [0.80, 0.83, 0.82]
    assert interval_over_seeds(scores, 0.1) == pytest.approx(stats.ttest_1samp(scores, 0).confidence_interval(0.9))
    assert all(np.isnan(interval_over_seeds([0.8])))
