import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from unroll.statistics.stability import chance_quantile, count_bins, decile_edges, stability_index

COUNTS = st.integers(1, 12).flatmap(
    lambda bins: st.tuples(*[arrays(np.int64, bins, elements=st.integers(0, 500)).filter(np.any)] * 2)
)


def index(reference: list[float], new: list[float]) -> float:
    return stability_index(np.array(reference), np.array(new))


def test_the_index_of_a_hand_worked_example() -> None:
    """0.1 ln(0.3 / 0.2) + 0 ln(0.3 / 0.3) − 0.1 ln(0.4 / 0.5)."""
    assert index([20, 30, 50], [60, 60, 80]) == pytest.approx(0.04054651 + 0 + 0.02231436)


@given(COUNTS)
def test_the_index_is_kullback_and_leibler_s_divergence_both_ways(counts: tuple[np.ndarray, np.ndarray]) -> None:
    q, p = (one + 1 for one in counts)
    assert stability_index(q, p) == pytest.approx(entropy(p, q) + entropy(q, p), abs=1e-12)


@given(COUNTS)
def test_the_index_is_symmetric_finite_and_not_negative(counts: tuple[np.ndarray, np.ndarray]) -> None:
    reference, new = counts
    assert 0 <= stability_index(reference, new) < np.inf
    assert stability_index(reference, new) == pytest.approx(stability_index(new, reference))


@given(COUNTS, st.integers(1, 9))
def test_the_index_of_equal_shares_is_zero(counts: tuple[np.ndarray, np.ndarray], times: int) -> None:
    reference = counts[0]
    assert stability_index(reference, reference * times) == pytest.approx(0)


def test_an_empty_bin_counts_as_half_a_text() -> None:
    assert index([10, 10], [20, 0]) == index([10, 10], [20, 0.5])


def test_a_bin_that_is_empty_in_both_is_none() -> None:
    assert index([10, 0, 10], [4, 0, 9]) == index([10, 10], [4, 9])
    alone, with_empty = np.array([10, 10]), np.array([10, 0, 10])
    assert chance_quantile(with_empty, with_empty, 0.05) == chance_quantile(alone, alone, 0.05)


def test_a_single_bin_leaves_nothing_to_chance() -> None:
    assert chance_quantile(np.array([5]), np.array([7]), 0.05) == 0


@pytest.mark.parametrize("level", [0.05, 0.01])
@pytest.mark.parametrize("sizes", [(400, 400), (5000, 300)])
def test_chance_alone_exceeds_the_quantile_as_often_as_the_level_says(level: float, sizes: tuple[int, int]) -> None:
    draw, trials = np.random.default_rng(3), 3000
    references, news = (draw.multinomial(size, np.full(10, 0.1), trials) for size in sizes)
    alarms = [
        stability_index(reference, new) > chance_quantile(reference, new, level)
        for reference, new in zip(references, news, strict=True)
    ]
    assert np.mean(alarms) == pytest.approx(level, abs=0.5 * level)


@pytest.mark.parametrize("size", [20, 50, 200])
def test_false_alarms_stay_rare_in_few_texts_with_deciles_and_ties(size: int) -> None:
    draw, trials = np.random.default_rng(4), 1000
    alarms = 0
    for _ in range(trials):
        values = draw.geometric(0.15, 1000 + size)
        reference, new = values[:1000], values[1000:]
        edges = decile_edges(reference)
        counts = count_bins(reference, edges), count_bins(new, edges)
        alarms += stability_index(*counts) > chance_quantile(*counts, 0.05)
    assert alarms / trials < 0.1


def test_deciles_hold_a_tenth_each() -> None:
    values = np.random.default_rng(0).permutation(1000)
    assert count_bins(values, decile_edges(values)) == pytest.approx(100, abs=1)


def test_equal_deciles_are_one_bin() -> None:
    values = np.array([0] * 75 + list(range(1, 26)))
    edges = decile_edges(values)
    assert edges[0] == 0 and len(set(edges)) == len(edges) == 3
    assert count_bins(values, edges) == pytest.approx([75, 5, 10, 10], abs=1)


@given(arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 5)))
def test_every_value_has_a_bin_and_no_two_bins_hold_one_value(values: np.ndarray) -> None:
    edges = decile_edges(values)
    assert count_bins(values, edges).sum() == len(values)
    assert (np.diff(edges) > 0).all()
    assert len(edges) >= 1


@pytest.mark.parametrize("other", [4, 6])
def test_another_value_than_the_reference_s_only_one_is_in_another_bin(other: int) -> None:
    edges = decile_edges(np.full(30, 5))
    assert not (count_bins(np.full(9, 5), edges) & count_bins(np.full(9, other), edges)).any()


def test_what_is_larger_than_nearly_all_of_a_reference_is_in_another_bin() -> None:
    edges = decile_edges(np.array([0.0] * 95 + [0.2] * 5))
    assert count_bins(np.array([0.0, 0.1, 0.5]), edges).tolist() == [1, 2]
