import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats
from scipy.special import xlogy
from statsmodels.stats.contingency_tables import mcnemar

from tests.statistics.simulated import accuracy_counts, entity_counts
from unroll.statistics.metrics import micro_f1
from unroll.statistics.paired_tests import PairedTest, mcnemar_test, randomisation_test, seeds_test, tango_interval
from unroll.statistics.variance_components import contributions, difference_variance


def from_table(both: int, first: int, second: int, none: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of two runs that are both, one of them, or none right about so many examples."""
    right = np.repeat([[1, 1, 0, 0], [1, 0, 1, 0]], [both, first, second, none], axis=1).astype(bool)
    return accuracy_counts(right[:1]), accuracy_counts(right[1:])


def test_mcnemar_of_the_approval_ratings_of_agresti() -> None:
    """Agresti 2002, table 10.1: a difference of 0.04, 0.02 to 0.06 at 95 %, z² = 17.36."""
    found = mcnemar_test(*from_table(794, 150, 86, 570), 0.05)
    assert (0.04 / found.standard_error) ** 2 == pytest.approx(17.36, abs=0.05)
    assert (found.low, found.high) == pytest.approx((0.02, 0.06), abs=0.002)
    assert found.degrees_of_freedom == np.inf


@given(arrays(bool, (2, 40)))
def test_mcnemar_is_that_of_statsmodels(right: NDArray[np.bool_]) -> None:
    first, second = right
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    found = mcnemar_test(accuracy_counts(right[:1]), accuracy_counts(right[1:]), 0.05)
    differing = table[0][1] + table[1][0]
    expected = mcnemar(table, exact=False, correction=False).pvalue if differing else 1.0
    assert found.p_value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wins", "losses", "size", "low", "high"),
    [(12, 2, 50, 0.0611, 0.3447), (0, 0, 20, -0.1611, 0.1611), (20, 0, 20, 0.6777, 1), (0, 5, 5, -1, -0.1310)],
)
def test_the_interval_of_tango(wins: int, losses: int, size: int, low: float, high: float) -> None:
    assert tango_interval(wins, losses, size, 0.05) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.sampled_from([0.1, 0.05, 0.01]))
def test_the_interval_of_tango_has_the_differences_that_its_test_does_not_refuse(
    wins: int, losses: int, same: int, level: float
) -> None:
    """The likelihood of a difference, maximised over a grid, gives the probability of losses under it."""
    size = max(1, wins + losses + same)

    def statistic(delta: float) -> float:
        share = np.linspace(max(0.0, -delta), (1 - delta) / 2, 20_001)  # of losses; that of wins is higher by delta
        terms = zip((wins, losses, size - wins - losses), (share + delta, share, 1 - 2 * share - delta), strict=True)
        likelihood = sum(xlogy(count, np.clip(chance, 0, 1)) for count, chance in terms)
        variance = 2 * share[np.argmax(likelihood)] + delta * (1 - delta)
        return float((wins - losses - size * delta) ** 2 / (size * variance)) if variance > 1e-9 else np.inf

    limit = stats.chi2.isf(level, 1)
    for end, outward in zip(tango_interval(wins, losses, size, level), (-1, 1), strict=True):
        if abs(end) < 0.98:
            assert statistic(end - outward * 0.01) < limit < statistic(end + outward * 0.01)


def test_randomisation_is_that_of_scipy() -> None:
    """All 2^10 swaps there, 10,000 random ones here."""
    generator = np.random.default_rng(0)
    gold = generator.integers(1, 5, 10)
    first, second = (entity_counts(generator, 1, gold, skill) for skill in (0.9, 0.4))

    def difference(rows: NDArray[np.int64], others: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        one, other = (np.stack([part // 10_000, part // 100 % 100, part % 100], axis=-1) for part in (rows, others))
        return micro_f1(one) - micro_f1(other)

    packed = [10_000 * counts[0, :, 0] + 100 * counts[0, :, 1] + counts[0, :, 2] for counts in (first, second)]
    exact = stats.permutation_test(
        packed, difference, permutation_type="samples", n_resamples=np.inf, vectorized=True, axis=-1
    )
    found = randomisation_test(first, second, 0.05, seed=0)
    assert 0.1 < exact.pvalue < 0.5
    assert found.p_value == pytest.approx(exact.pvalue, abs=0.015)
    assert found.standard_error == pytest.approx(exact.null_distribution.std(), rel=0.03)


def test_randomisation_of_accuracy_is_mcnemar_s_test() -> None:
    table = from_table(3000, 400, 350, 1000)
    assert randomisation_test(*table, 0.05, seed=0).p_value == pytest.approx(
        mcnemar_test(*table, 0.05).p_value, abs=0.01
    )


def test_random_swaps_are_those_of_the_seed() -> None:
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 4, 30)
    first, second = (entity_counts(generator, 1, gold, skill) for skill in (0.8, 0.6))
    found = [randomisation_test(first, second, 0.05, seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_several_runs_are_compared_by_student_s_t() -> None:
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 4, 200)
    first, second = entity_counts(generator, 2, gold, 0.8), entity_counts(generator, 3, gold, 0.7)
    found = seeds_test(first, second, 0.1)
    variance, degrees = difference_variance(contributions(first), contributions(second))
    difference, error = micro_f1(first).mean() - micro_f1(second).mean(), np.sqrt(variance)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(difference) / error, degrees))
    assert found.low <= difference <= found.high
    assert (found.standard_error, found.degrees_of_freedom) == pytest.approx((error, degrees))


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("kind", ["accuracy", "f1"])
def test_the_interval_of_a_large_difference_is_as_wide_as_the_bootstrap_s(kind: str, runs: int) -> None:
    """The test's own variance, of no difference, would make it more than half as wide again."""
    generator = np.random.default_rng(0)
    gold = generator.integers(1, 4, 400)
    difficulty = generator.random((1, 400))  # the seeds do not vary: the bootstrap varies the examples alone
    first, second = (
        np.repeat(np.stack([gold * (difficulty < skill), gold[None], gold[None]], axis=-1), runs, axis=0)
        if kind == "f1"
        else np.repeat(accuracy_counts(difficulty < skill), runs, axis=0)
        for skill in (0.95, 0.25)
    )
    found = compared(kind, (runs, runs), first, second, 0.05)
    pairs = np.stack([first[0], second[0]], axis=1)[generator.integers(0, 400, (4000, 400))]  # (4000, 400, 2, 3)
    differences = micro_f1(pairs[:, :, 0]) - micro_f1(pairs[:, :, 1])
    low, high = np.quantile(differences, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.15 * (high - low))


def test_an_interval_stays_within_what_a_difference_can_be() -> None:
    for runs in ((1, 1), (2, 2)):
        for kind in ("accuracy", "f1"):
            one = np.ones((runs[0], 1, 3), dtype=np.int64)
            found = compared(kind, runs, one, one * [0, 1, 1], 0.05)
            assert -1 <= found.low <= found.high <= 1


def test_runs_that_do_not_vary_are_compared_as_one() -> None:
    """McNemar's statistic, by its normal approximation."""
    first, second = from_table(60, 25, 15, 0)
    found = seeds_test(first.repeat(3, axis=0), second.repeat(3, axis=0), 0.05)
    expected = mcnemar([[60, 25], [15, 0]], exact=False, correction=False)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_seeds_that_vary_make_a_difference_less_significant() -> None:
    wins = np.random.default_rng(0).random((4, 1000)) < np.array([[0.87], [0.79], [0.80], [0.74]])
    varied = seeds_test(accuracy_counts(wins[:2]), accuracy_counts(wins[2:]), 0.05)
    level = np.random.default_rng(0).random((4, 1000)) < np.array([[0.83], [0.83], [0.77], [0.77]])
    steady = seeds_test(accuracy_counts(level[:2]), accuracy_counts(level[2:]), 0.05)
    assert steady.p_value < 0.01 < 0.2 < varied.p_value


def made_up(kind: str, seed: int, runs: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    gold = generator.integers(1, 4, 40)
    first, second = (entity_counts(generator, k, gold, skill) for k, skill in zip(runs, (0.7, 0.5), strict=True))
    if kind == "accuracy":
        first, second = (accuracy_counts(counts[..., 0] == counts[..., 2]) for counts in (first, second))
    return first, second


def compared(
    kind: str, runs: tuple[int, int], first: NDArray[np.int64], second: NDArray[np.int64], level: float
) -> PairedTest:
    if max(runs) > 1:
        return seeds_test(first, second, level)
    if kind == "accuracy":
        return mcnemar_test(first, second, level)
    return randomisation_test(first, second, level, seed=0)


KINDS = st.sampled_from(["accuracy", "f1"])
RUNS = st.sampled_from([(1, 1), (1, 3), (2, 2), (3, 1), (4, 5)])


@settings(max_examples=80, deadline=None)
@given(KINDS, RUNS, st.integers(0, 1000), st.sampled_from([0.2, 0.05, 0.01]))
def test_zero_lies_outside_the_interval_just_where_p_is_below_the_level(
    kind: str, runs: tuple[int, int], seed: int, level: float
) -> None:
    first, second = made_up(kind, seed, runs)
    found = compared(kind, runs, first, second, level)
    difference = micro_f1(first).mean() - micro_f1(second).mean()
    assert found.low - 1e-12 <= difference <= found.high + 1e-12
    assert (found.p_value < level) == (not found.low <= 0 <= found.high)


@settings(max_examples=40, deadline=None)
@given(KINDS, RUNS, st.integers(0, 1000))
def test_the_order_of_two_models_changes_the_sign_alone(kind: str, runs: tuple[int, int], seed: int) -> None:
    first, second = made_up(kind, seed, runs)
    found, turned = compared(kind, runs, first, second, 0.05), compared(kind, runs, second, first, 0.05)
    by_chance = 0.02 if kind == "f1" and runs == (1, 1) else 1e-9
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low), abs=by_chance)
    assert found.p_value == pytest.approx(turned.p_value, abs=by_chance)


@pytest.mark.parametrize("kind", ["accuracy", "f1"])
@pytest.mark.parametrize("runs", [(1, 1), (2, 2), (1, 3), (3, 2), (5, 6), (3, 7)])
@pytest.mark.parametrize("seed", range(5))
def test_a_model_does_not_differ_from_itself(kind: str, runs: tuple[int, int], seed: int) -> None:
    """Also where its runs are alike, and the means of other numbers of them differ in their last digit."""
    run = made_up(kind, seed, (1, 1))[0]
    found = compared(kind, runs, run.repeat(runs[0], axis=0), run.repeat(runs[1], axis=0), 0.05)
    assert found.p_value == 1.0
    assert found.low == -found.high <= 0
