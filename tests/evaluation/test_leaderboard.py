from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from unroll.evaluation.leaderboard import (
    COSTS,
    CostColumn,
    equally_good,
    leaderboard,
    pareto_front,
    single_device,
    with_intervals_over_texts,
)
from unroll.evaluation.runs import Run, read_runs
from unroll.statistics.comparison import interval_over_examples

PARAMETERS = CostColumn("parameters", "parameters", "")
SPEED = CostColumn("tokens_per_second", "tokens/s", "", more_is_cheaper=True)
SMALL = st.tuples(st.integers(0, 4), st.integers(0, 4))


@pytest.fixture
def runs(classification_runs: Path) -> list[Run]:
    return read_runs(classification_runs)


def test_each_score_is_the_mean_and_sample_deviation_over_seeds(runs: list[Run]) -> None:
    board = leaderboard(runs).set_index("model")
    scores = [run.metrics["test/accuracy"] for run in runs if run.model == "gru"]
    assert board.loc["gru", "test/accuracy"] == pytest.approx(np.mean(scores))
    assert board.loc["gru", "test/accuracy_sd"] == pytest.approx(np.std(scores, ddof=1))
    assert board.loc["gru", "seeds"] == 2
    assert board.loc["gru", "parameters"] == 12_345
    assert board.loc["gru", "training_seconds"] == 61.5
    assert board.loc["gru", "tokens_per_second"] == 20_001.5
    assert board.loc["gru", "size_bytes"] == 50_000


def test_the_main_test_metric_has_students_interval_over_seeds_within_what_a_score_can_be(runs: list[Run]) -> None:
    scores = [run.metrics["test/accuracy"] for run in runs if run.model == "elman"]
    low, high = stats.t.interval(0.5, 1, np.mean(scores), stats.sem(scores))
    board = leaderboard(runs, level=0.5).set_index("model")
    assert board.loc["elman", ["test/accuracy_low", "test/accuracy_high"]].tolist() == pytest.approx([low, high])
    assert leaderboard(runs, level=1e-6).iloc[0][["test/accuracy_low", "test/accuracy_high"]].tolist() == [0, 1]
    assert "test/macro_f1_low" not in board


def test_main_test_metric_follows_the_validation_metric(
    runs: list[Run], labeling_runs: Path, multilabel_runs: Path
) -> None:
    head = ["model", "seeds", "val/accuracy", "val/accuracy_sd", "test/accuracy", "test/accuracy_sd"]
    assert list(leaderboard(runs).columns[:6]) == head
    head = ["model", "seeds", "val/f1", "val/f1_sd", "test/f1", "test/f1_sd"]
    assert list(leaderboard(read_runs(labeling_runs)).columns[:6]) == head
    assert list(leaderboard(read_runs(multilabel_runs)).columns[:6]) == head


def test_validation_ranks_and_the_test_score_does_not(runs: list[Run]) -> None:
    swapped = [replace(run, metrics={"test/accuracy": 1 - run.best_score}) for run in runs]
    board = leaderboard(swapped)
    assert list(board["model"]) == ["gru", "elman"]
    assert board["test/accuracy"].is_monotonic_increasing


def test_a_tie_goes_to_the_smaller_model(runs: list[Run]) -> None:
    assert list(leaderboard([replace(run, best_score=0.8) for run in runs])["model"]) == ["elman", "gru"]


def test_one_seed_has_no_deviation(runs: list[Run]) -> None:
    board = leaderboard([run for run in runs if run.seed == 1])
    assert board[["test/accuracy_sd", "test/accuracy_low", "test/accuracy_high"]].isna().all(axis=None)
    assert board["test/accuracy"].notna().all()


def on(runs: list[Run], trained: dict[str, str], evaluated: dict[str, str]) -> list[Run]:
    """The runs on these devices, by model or by id."""
    return [
        replace(
            run,
            device=trained.get(run.run_id, trained.get(run.model)),
            evaluated_on=evaluated.get(run.run_id, evaluated.get(run.model)),
        )
        for run in runs
    ]


def test_times_of_one_device_are_compared_and_it_is_named(runs: list[Run]) -> None:
    gpu = dict.fromkeys(("gru", "elman"), "cuda (H100)")
    board = leaderboard(on(runs, gpu, gpu))
    assert board[["training_seconds", "tokens_per_second"]].notna().all(axis=None)
    assert board[["trained_on", "evaluated_on"]].eq("cuda (H100)").all(axis=None)
    assert single_device(board) == "cuda (H100)"
    assert single_device(leaderboard(runs)) == "unknown"  # of earlier versions


def test_times_of_two_devices_are_not_compared(runs: list[Run]) -> None:
    """As many models are on either device: the times are those of the best model's."""
    board = leaderboard(on(runs, {"gru": "cuda (H100)", "elman": "cpu"}, {"gru": "cpu", "elman": "cpu"}))
    assert board["trained_on"].tolist() == ["cuda (H100)", "cpu"]
    assert board["training_seconds"].notna().tolist() == [True, False]
    assert board["tokens_per_second"].notna().all()
    assert single_device(board) is None
    assert pareto_front(board, "val/accuracy", CostColumn("training_seconds", "", "")) == ["gru"]


def test_the_times_are_those_of_most_models(runs: list[Run]) -> None:
    third = [replace(run, model="lstm", run_id=f"lstm{run.seed}") for run in runs if run.model == "elman"]
    devices = {"gru": "cuda (H100)", "elman": "cpu", "lstm": "cpu"}
    board = leaderboard(on([*runs, *third], devices, devices)).set_index("model")
    assert board["training_seconds"].isna().to_dict() == {"gru": True, "elman": False, "lstm": False}
    assert board["tokens_per_second"].isna().to_dict() == {"gru": True, "elman": False, "lstm": False}


def test_a_mean_over_seeds_on_two_devices_is_the_time_of_none(runs: list[Run]) -> None:
    mixed = {"gru1": "cpu", "gru2": "cuda (H100)", "elman": "cuda (H100)"}
    board = leaderboard(on(runs, mixed, mixed)).set_index("model")
    assert board.loc["gru", "trained_on"] == "cpu and cuda (H100)"
    assert board["training_seconds"].isna().to_dict() == {"gru": True, "elman": False}
    everywhere = mixed | {"elman1": "cpu"}
    assert leaderboard(on(runs, everywhere, everywhere))["training_seconds"].isna().all()


def test_a_diverged_seed_is_not_left_out(runs: list[Run]) -> None:
    broken = [replace(run, best_score=float("nan")) if run.run_id == "gru1" else run for run in runs]
    board = leaderboard(broken)
    assert list(board["model"]) == ["elman", "gru"]
    assert np.isnan(board["val/accuracy"][1])


def test_the_interval_over_texts_is_that_of_each_models_predictions(runs: list[Run]) -> None:
    board = with_intervals_over_texts(leaderboard(runs), runs).set_index("model")
    elman = np.stack([run.counts for run in runs if run.model == "elman"])
    ends = board.loc["elman", ["test/accuracy_texts_low", "test/accuracy_texts_high"]]
    assert tuple(ends) == interval_over_examples(elman)
    assert ends.iloc[0] < board.loc["elman", "test/accuracy"] < ends.iloc[1]


def scored(*models: tuple[float, float], cost: str = "parameters") -> pd.DataFrame:
    """Models a, b, c, … of a score and a cost each."""
    scores, costs = zip(*models, strict=True)
    return pd.DataFrame({"model": list("abcdefgh"[: len(models)]), "score": scores, cost: costs})


def test_a_better_and_cheaper_model_leaves_the_other_behind() -> None:
    assert pareto_front(scored((0.9, 10), (0.8, 20), (0.7, 5), (0.95, 30)), "score", PARAMETERS) == ["c", "a", "d"]


def test_of_many_words_a_second_the_most_are_cheapest() -> None:
    models = scored((0.9, 10), (0.8, 20), (0.7, 5), (0.95, 1), cost="tokens_per_second")
    assert pareto_front(models, "score", SPEED) == ["b", "a", "d"]


def test_equal_models_are_both_on_the_front() -> None:
    assert pareto_front(scored((0.9, 10), (0.9, 10), (0.9, 11)), "score", PARAMETERS) == ["a", "b"]


def test_a_model_without_a_score_is_not_on_the_front() -> None:
    assert pareto_front(scored((float("nan"), 1), (0.5, 2)), "score", PARAMETERS) == ["b"]


def test_a_model_without_the_cost_is_not_on_the_front() -> None:
    models = scored((0.9, float("nan")), (0.5, 2), cost="tokens_per_second")
    assert pareto_front(models, "score", SPEED) == ["b"]


@given(st.lists(SMALL, min_size=1, max_size=8))
def test_each_model_is_on_the_front_or_beaten_by_one_that_is(models: list[tuple[int, int]]) -> None:
    points = dict(zip("abcdefgh", models, strict=False))
    front = pareto_front(scored(*models), "score", PARAMETERS)
    for model, (score, cost) in points.items():
        beaten_by = [
            other
            for other in front
            if points[other][0] >= score and points[other][1] <= cost and points[other] != (score, cost)
        ]
        assert (model in front) != bool(beaten_by)


@pytest.mark.parametrize("cost", COSTS)
def test_every_cost_says_whether_more_is_cheaper(cost: CostColumn) -> None:
    assert cost.more_is_cheaper == (cost.column == "tokens_per_second")


def test_models_with_equal_validation_scores_are_equally_good() -> None:
    board = pd.DataFrame({"model": ["a", "b", "c"], "val/accuracy": [0.9, 0.9, 0.8]})
    assert equally_good(board, "val/accuracy") == ["a", "b"]
    assert equally_good(board[1:], "val/accuracy") == ["b"]
