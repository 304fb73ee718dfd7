import re

import pytest

from unroll.sweep.objectives import check_objectives, names_of, values_of


def test_one_objective_is_a_number_and_several_are_a_list() -> None:
    record = {"best_score": 0.5, "parameters": 12, "monitor": "val/f1"}
    assert values_of(record, ["best_score"]) == 0.5
    assert values_of(record, ["parameters", "best_score"]) == [12.0, 0.5]


@pytest.mark.parametrize("names", [[], ["score"], ["best_score", "monitor"]])
def test_what_is_no_objective_is_refused_with_those_there_are(names: list[str]) -> None:
    with pytest.raises(ValueError, match=r"accepted: one or more of best_score, parameters, size_bytes"):
        check_objectives(names)


@pytest.mark.parametrize("value", ["best_score", None, 3, [3], {"best_score": 1}])
def test_what_is_no_list_of_names_is_refused_as_it_was_written(value: object) -> None:
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'objectives={value}; accepted: a list, such as objectives=[best_score]')}$"
    ):
        names_of(value)
