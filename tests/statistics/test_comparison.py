from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.statistics.simulated import accuracy_counts, entity_counts
from unroll.statistics.comparison import holm, interval_over_examples, interval_over_seeds
from unroll.statistics.metrics import micro_f1


def test_holm_of_a_published_set_of_p_values() -> None:
    """Benjamini and Hochberg 1995, section 4.1: a family-wise error of 0.05 leaves three of the fifteen."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p_values += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    adjusted = holm(p_values[::-1])[::-1]
    assert adjusted[:4].tolist() == pytest.approx([15 * 0.0001, 14 * 0.0004, 13 * 0.0019, 12 * 0.0095])
    assert (adjusted < 0.05).sum() == 3
    assert all(one <= other for one, other in pairwise(adjusted))
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    with patch("gc.collect"):  # which it calls, and which takes most of its time
        assert holm(p_values).tolist() == multipletests(p_values, method="holm")[1].tolist()


def test_the_interval_over_seeds_is_student_s() -> None:
    scores = [0.80, 0.83, 0.82]
    interval = stats.ttest_1samp(scores, 0).confidence_interval(0.9)
    assert interval_over_seeds(scores, 0.1) == pytest.approx((interval.low, interval.high))
    assert all(np.isnan(interval_over_seeds([0.8])))


@pytest.mark.parametrize("runs", [1, 3])
def test_the_interval_over_examples_is_scipy_s_bootstrap(runs: int) -> None:
    generator = np.random.default_rng(0)
    counts = entity_counts(generator, runs, generator.integers(0, 4, 150), 0.8)

    def score(examples: np.ndarray, axis: int) -> np.ndarray:
        """examples: (…, N) indices."""
        return micro_f1(counts[:, examples]).mean(axis=0)

    expected = stats.bootstrap((np.arange(150),), score, method="percentile", vectorized=True, rng=1)
    found = interval_over_examples(counts)
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.003)
    assert found == interval_over_examples(counts, seed=0)


@pytest.mark.parametrize("right", [True, False])
def test_examples_that_are_all_right_or_all_wrong_have_no_interval(right: bool) -> None:
    assert all(np.isnan(interval_over_examples(accuracy_counts(np.full((1, 20), right)))))


def test_the_interval_over_examples_narrows_with_the_level() -> None:
    counts = accuracy_counts(np.repeat([[True, False]], [70, 30], axis=1))
    (low, high), (lower, higher) = (interval_over_examples(counts, level) for level in (0.2, 0.01))
    assert lower < low < 0.7 < high < higher
