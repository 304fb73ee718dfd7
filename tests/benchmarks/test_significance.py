"""The error rates of the comparison of models are as nominal, on a few simulated settings."""

import numpy as np
import pytest

from benchmarks.significance import Setting, cells, not_worse, rates, simulate
from unroll.statistics.metrics import micro_f1


@pytest.mark.parametrize("metric", ["accuracy", "F1"])
def test_simulated_models_have_the_scores_and_the_spread_that_they_are_to_have(metric: str) -> None:
    generator = np.random.default_rng(0)
    first, second = simulate(Setting(metric, seeds=200, examples=20_000, sd=1.5, gap=4.0), generator)
    assert micro_f1(first).mean() == pytest.approx(0.80, abs=0.01)
    assert micro_f1(first).mean() - micro_f1(second).mean() == pytest.approx(0.04, abs=0.006)
    assert micro_f1(first).std() == pytest.approx(0.015, rel=0.2)


@pytest.mark.parametrize("setting", [Setting("accuracy", 3, 500, sd=1.5), Setting("F1", 5, 500, sd=1.5)])
def test_equal_models_are_rarely_significant_where_the_examples_alone_would_say_so(setting: Setting) -> None:
    """At 5 %: between 2 and 8 of 100, and more than 20 for a test that ignores the variance over seeds."""
    found = rates(setting, simulations=400)
    assert 0.02 <= found.ours <= 0.08
    assert found.examples_alone > 0.2


def test_models_that_are_far_apart_are_significant() -> None:
    assert rates(Setting("accuracy", 5, 2000, sd=0.5, gap=4.0), simulations=50).ours > 0.9


def test_runs_of_a_simulated_baseline_are_one() -> None:
    baseline, network = simulate(Setting("F1", 3, 500, sd=1.5, kind="baseline"), np.random.default_rng(0))
    assert (baseline == baseline[0]).all()
    assert (network != network[0]).any()


def test_models_that_are_worse_by_the_margin_rarely_pass_for_as_good() -> None:
    assert not_worse(Setting("accuracy", 2, 500, sd=0.0, gap=1.0), simulations=400) < 0.05


def test_a_line_has_a_share_for_each_number_of_examples() -> None:
    line = list(cells("accuracy", 2, 0.5, simulations=4))
    assert len(line) == 10
    assert all(0 <= float(share) <= 100 for cell in line for share in cell.split(" / "))
