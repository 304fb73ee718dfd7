from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.statistics.metrics import calibration_error, micro_f1


def test_micro_f1_reads_runs_at_once() -> None:
    counts = np.array([[[1, 1, 1], [0, 1, 1]], [[0, 0, 0], [0, 0, 0]]])
    assert micro_f1(counts).tolist() == [0.5, 0.0]


def test_calibration_error_of_a_worked_example() -> None:
    # two bins: (12/15, 13/15] contains 0.81 and 0.85 with accuracy 1/2, (3/15, 4/15] contains 0.25 with accuracy 1
    expected = 2 / 3 * abs(0.5 - 0.83) + 1 / 3 * abs(1 - 0.25)
    assert calibration_error([0.81, 0.85, 0.25], [True, False, True]) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_error_follows_its_definition(predictions: list[tuple[float, bool]]) -> None:
    expected, edges = 0.0, np.linspace(0, 1, 16)
    for low, high in pairwise(edges):
        inside = [(c, hit) for c, hit in predictions if low < c <= high or c == low == 0]
        if inside:
            confidence, accuracy = np.mean([c for c, _ in inside]), np.mean([hit for _, hit in inside])
            expected += len(inside) / len(predictions) * abs(accuracy - confidence)
    confidences, correct = zip(*predictions, strict=True)
    assert calibration_error(confidences, correct) == pytest.approx(expected)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_confidence_that_is_not_a_probability_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=f"confidence={value} is not a probability; accepted: 0 to 1"):
        calibration_error([0.5, value], [True, True])
