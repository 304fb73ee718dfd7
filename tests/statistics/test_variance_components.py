import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.formula.api import ols

from tests.statistics.simulated import accuracy_counts, entity_counts
from unroll.statistics.metrics import micro_f1
from unroll.statistics.variance_components import (
    contributions,
    difference_variance,
    interaction,
    seed_variance,
    swap_variance,
)


def test_a_contribution_to_accuracy_is_whether_the_example_is_right() -> None:
    right = np.array([[True, False, True], [False, False, True]])
    assert contributions(accuracy_counts(right)) == pytest.approx(right.astype(float))


def test_a_contribution_to_f1_is_what_leaving_the_example_out_takes_away() -> None:
    """Jackknife pseudo-values, which agree up to 1 / N."""
    generator = np.random.default_rng(0)
    counts = entity_counts(generator, 1, generator.integers(0, 4, 2000), 0.8)
    whole = micro_f1(counts[0])
    assert contributions(counts).mean() == pytest.approx(whole)
    for example in range(20):
        rest = micro_f1(np.delete(counts[0], example, axis=0))
        assert contributions(counts)[0, example] == pytest.approx(whole + (2000 - 1) * (whole - rest), abs=0.01)


@given(st.integers(0, 1000))
def test_contributions_have_the_score_as_their_mean(seed: int) -> None:
    generator = np.random.default_rng(seed)
    counts = entity_counts(generator, 3, generator.integers(0, 3, 5), 0.5)
    assert contributions(counts).mean(axis=1) == pytest.approx(micro_f1(counts))


def test_the_disagreement_of_runs_is_the_residual_of_a_two_way_analysis() -> None:
    values = np.random.default_rng(0).random((3, 12))
    frame = pd.DataFrame([(k, i, values[k, i]) for k, i in np.ndindex(3, 12)], columns=["run", "example", "value"])
    assert interaction(values) == pytest.approx(ols("value ~ C(run) + C(example)", frame).fit().mse_resid)


def test_the_spread_of_seeds_is_that_of_welch_s_test() -> None:
    right = np.random.default_rng(0).random((7, 50)) < np.linspace(0.3, 0.9, 7)[:, None]
    first, second = right[:3].astype(float), right[3:].astype(float)
    seeds = seed_variance(first, second)
    welch = stats.ttest_ind(first.mean(axis=1), second.mean(axis=1), equal_var=False)
    assert seeds.degrees == pytest.approx(welch.df)
    assert (first.mean() - second.mean()) / np.sqrt(seeds.between) == pytest.approx(welch.statistic)


def test_a_single_run_borrows_the_variance_of_the_other_model_s_seeds() -> None:
    one, several = np.random.default_rng(0).random((1, 40)), np.random.default_rng(1).random((3, 40))
    seeds = seed_variance(one, several)
    assert seeds.between == pytest.approx((1 + 1 / 3) * several.mean(axis=1).var(ddof=1))
    assert seeds.within == pytest.approx((1 + 1 / 3) * interaction(several) / 40)
    assert seeds.degrees == pytest.approx(2)
    assert seed_variance(several, one) == seeds


def plain_loop(models: list[list[list[float]]]) -> tuple[float, float]:
    """Variance and degrees of freedom by the equations of docs/comparing.md; of runs of numbers, one list per model."""
    size = len(models[0][0])
    swaps = between = within = squares = 0.0
    for i in range(size):
        one, other = (sum(run[i] for run in runs) / len(runs) for runs in models)
        swaps += (one - other) ** 2 / size**2
    for runs in models:
        k = len(runs)
        scores = [sum(run) / size for run in runs]
        mean = sum(scores) / k
        spread = sum((score - mean) ** 2 for score in scores) / (k - 1)
        residual = 0.0
        for run, score in zip(runs, scores, strict=True):
            for i in range(size):
                residual += (run[i] - score - sum(other[i] for other in runs) / k + mean) ** 2
        within += residual / (k - 1) / (size - 1) / size / k
        between += spread / k
        squares += (spread / k) ** 2 / (k - 1)
    clipped = max(0.0, swaps - within) + max(between, within)
    variance = max(0.0, swaps - within) + (between + max(between, within)) / 2
    return variance, clipped**2 / squares


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("runs", [(2, 2), (3, 5)])
def test_the_variance_of_a_difference_is_that_of_a_plain_loop(runs: tuple[int, int], spread: float) -> None:
    generator = np.random.default_rng(3)
    skills = generator.normal(0.7, spread, (sum(runs), 1))
    values = (generator.random((sum(runs), 60)) < skills).astype(float)
    first, second = values[: runs[0]], values[runs[0] :]
    assert tuple(difference_variance(first, second)) == pytest.approx(plain_loop([first.tolist(), second.tolist()]))


def test_runs_that_do_not_vary_count_as_one() -> None:
    one, other = np.random.default_rng(0).random((2, 1, 30))
    once = difference_variance(one, other)
    assert once == (swap_variance(one, other), np.inf)
    thrice = difference_variance(one.repeat(3, axis=0), other.repeat(3, axis=0))
    assert thrice.total == pytest.approx(once.total)
    assert thrice.degrees > 1e9


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(2, 4))
def test_the_variance_is_positive_where_runs_disagree(seed: int, first_runs: int, second_runs: int) -> None:
    values = np.random.default_rng(seed).integers(0, 2, (first_runs + second_runs, 4)).astype(float)
    variance = difference_variance(values[:first_runs], values[first_runs:])
    assert variance.total > 0 or np.ptp(values[first_runs:], axis=0).max() == 0
    assert variance.total >= 0 and variance.degrees > 0
