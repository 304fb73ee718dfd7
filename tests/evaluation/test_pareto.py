import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.evaluation.pareto import COSTS, Cost, pareto_front

PARAMETERS = Cost("parameters", "parameters")
SPEED = Cost("tokens_per_second", "tokens/s", more_is_cheaper=True)
SMALL = st.tuples(st.integers(0, 4), st.integers(0, 4))


def board(*models: tuple[float, float], cost: str = "parameters") -> pd.DataFrame:
    """Models a, b, c, … of a score and a cost each."""
    scores, costs = zip(*models, strict=True)
    return pd.DataFrame({"model": list("abcdefgh"[: len(models)]), "score": scores, cost: costs})


def test_a_better_and_cheaper_model_leaves_the_other_behind() -> None:
    assert pareto_front(board((0.9, 10), (0.8, 20), (0.7, 5), (0.95, 30)), "score", PARAMETERS) == ["c", "a", "d"]


def test_of_many_words_a_second_the_most_are_cheapest() -> None:
    models = board((0.9, 10), (0.8, 20), (0.7, 5), (0.95, 1), cost="tokens_per_second")
    assert pareto_front(models, "score", SPEED) == ["b", "a", "d"]


def test_equal_models_are_both_on_the_front() -> None:
    assert pareto_front(board((0.9, 10), (0.9, 10), (0.9, 11)), "score", PARAMETERS) == ["a", "b"]


def test_a_model_without_a_score_is_not_on_the_front() -> None:
    assert pareto_front(board((float("nan"), 1), (0.5, 2)), "score", PARAMETERS) == ["b"]


def test_a_model_without_the_cost_is_not_on_the_front() -> None:
    models = board((0.9, float("nan")), (0.5, 2), cost="tokens_per_second")
    assert pareto_front(models, "score", SPEED) == ["b"]


@given(st.lists(SMALL, min_size=1, max_size=8))
def test_each_model_is_on_the_front_or_beaten_by_one_that_is(models: list[tuple[int, int]]) -> None:
    points = dict(zip("abcdefgh", models, strict=False))
    front = pareto_front(board(*models), "score", PARAMETERS)
    for model, (score, cost) in points.items():
        beaten_by = [
            other
            for other in front
            if points[other][0] >= score and points[other][1] <= cost and points[other] != (score, cost)
        ]
        assert (model in front) != bool(beaten_by)


@pytest.mark.parametrize("cost", COSTS)
def test_every_cost_says_whether_more_is_cheaper(cost: Cost) -> None:
    assert cost.more_is_cheaper == (cost.column == "tokens_per_second")
