from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from unroll.evaluation.leaderboard import leaderboard, with_intervals_over_texts
from unroll.evaluation.runs import Run, read_runs
from unroll.evaluation.significance import interval_over_examples


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


def test_a_diverged_seed_is_not_left_out(runs: list[Run]) -> None:
    broken = [replace(run, best_score=float("nan")) if run.run_id == "gru1" else run for run in runs]
    board = leaderboard(broken)
    assert list(board["model"]) == ["elman", "gru"]
    assert np.isnan(board["val/accuracy"][1])


def test_the_interval_over_texts_is_that_of_each_models_predictions(runs: list[Run]) -> None:
    board = with_intervals_over_texts(leaderboard(runs), runs).set_index("model")
    elman = [run.predictions for run in runs if run.model == "elman"]
    ends = board.loc["elman", ["test/accuracy_texts_low", "test/accuracy_texts_high"]]
    assert tuple(ends) == interval_over_examples(elman, "classification")
    assert ends.iloc[0] < board.loc["elman", "test/accuracy"] < ends.iloc[1]
