from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from unroll.evaluation.pairs import compare_pairs, standing
from unroll.evaluation.runs import read_runs
from unroll.evaluation.significance import compare_predictions


@pytest.mark.parametrize("folder", ["classification_runs", "labeling_runs", "multilabel_runs"])
def test_a_pair_is_compared_on_the_predictions_of_all_seeds(folder: str, request: pytest.FixtureRequest) -> None:
    runs = read_runs(request.getfixturevalue(folder))
    (pair,) = compare_pairs(runs, ["gru", "elman"], level=0.1).itertuples()
    seeds = [[run.predictions for run in runs if run.model == model] for model in ("gru", "elman")]
    expected = compare_predictions(*seeds, runs[0].task, level=0.1)
    assert (pair.first, pair.second) == ("gru", "elman")
    for name in ("first_score", "second_score", "difference", "low", "high", "p_value"):
        assert getattr(pair, name) == getattr(expected, name)
    assert pair.adjusted_p == pair.p_value  # of a single pair


def test_one_model_has_no_pairs(classification_runs: Path) -> None:
    pairs = compare_pairs(read_runs(classification_runs, ["gru"]), ["gru"], level=0.05)
    assert pairs.empty
    assert "adjusted_p" in pairs


def test_p_values_are_adjusted_over_all_pairs(classification_runs: Path) -> None:
    runs = read_runs(classification_runs)
    runs += [replace(run, model="copy") for run in runs if run.model == "elman"]
    pairs = compare_pairs(runs, ["gru", "elman", "copy"], level=0.05).set_index(["first", "second"])
    assert pairs["p_value"].nunique() == 2
    smallest = pairs["p_value"].min()
    assert pairs.loc[("gru", "elman"), "adjusted_p"] == pytest.approx(3 * smallest)
    assert pairs.loc[("elman", "copy"), ["difference", "adjusted_p"]].tolist() == [0, 1]
    assert pairs["significant"].tolist() == (pairs["adjusted_p"] < 0.05).tolist()


def test_standing_parts_the_others_into_beaten_untold_and_better() -> None:
    pairs = pd.DataFrame(
        [("a", "b", 0.1, True), ("a", "c", 0.0, False), ("b", "c", -0.2, True)],
        columns=["first", "second", "difference", "significant"],
    )
    assert standing(pairs, "a") == (["b"], ["c"], [])
    assert standing(pairs, "b") == ([], [], ["a", "c"])
    assert standing(pairs, "c") == (["b"], ["a"], [])
