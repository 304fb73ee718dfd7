from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import seqeval.metrics
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from unroll.evaluation.leaderboard import leaderboard, scores_by_length
from unroll.evaluation.runs import Run, read_runs


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
    assert board["test/accuracy_sd"].isna().all()
    assert board["test/accuracy"].notna().all()


def test_a_diverged_seed_is_not_left_out(runs: list[Run]) -> None:
    broken = [replace(run, best_score=float("nan")) if run.run_id == "gru1" else run for run in runs]
    board = leaderboard(broken)
    assert list(board["model"]) == ["elman", "gru"]
    assert np.isnan(board["val/accuracy"][1])


def test_accuracy_by_length_adds_up_to_the_whole(runs: list[Run]) -> None:
    table = scores_by_length(runs)
    for run_model, part in table.groupby("model"):
        whole = np.mean([run.metrics["test/accuracy"] for run in runs if run.model == run_model])
        assert part["examples"].sum() == 120
        assert np.average(part["score"], weights=part["examples"]) == pytest.approx(whole)


def test_f1_by_length_equals_seqeval_on_the_sentences_of_that_length(labeling_runs: Path) -> None:
    runs = read_runs(labeling_runs, ["elman"])
    for bucket in scores_by_length(runs).itertuples():
        low, high = map(int, bucket.length.split("-"))
        expected = []
        for run in runs:
            part = run.predictions[run.predictions["length"].between(low, high)]
            assert len(part) == bucket.examples
            expected.append(
                seqeval.metrics.f1_score(part["label"].map(list).tolist(), part["predicted"].map(list).tolist())
            )
        assert bucket.score == pytest.approx(np.mean(expected))


def test_f1_by_length_equals_scikit_learn_on_the_texts_of_that_length(multilabel_runs: Path) -> None:
    runs = read_runs(multilabel_runs, ["elman"])
    for bucket in scores_by_length(runs).itertuples():
        low, high = map(int, bucket.length.split("-"))
        expected = []
        for run in runs:
            part = run.predictions[run.predictions["length"].between(low, high)]
            names = MultiLabelBinarizer().fit(run.predictions["label"])
            gold, predicted = (names.transform(part[side]) for side in ("label", "predicted"))
            expected.append(f1_score(gold, predicted, average="micro"))
        assert bucket.score == pytest.approx(np.mean(expected))


def with_predictions(run: Run, **columns: list[object]) -> Run:
    return replace(run, predictions=pd.DataFrame({"row": range(len(columns["length"])), **columns}))


def test_texts_of_one_length_share_a_bucket(runs: list[Run]) -> None:
    run = with_predictions(runs[0], length=[7, 7, 7, 7], label=[*"aabb"], predicted=[*"aaba"])
    assert scores_by_length([run]).to_dict("records") == [
        {"model": "elman", "length": "7", "examples": 4, "score": 0.75}
    ]


def test_a_bucket_without_labels_has_no_score(multilabel_runs: Path) -> None:
    run = with_predictions(
        read_runs(multilabel_runs)[0], length=[1, 2], label=[[], ["neutral"]], predicted=[["neutral"], ["neutral"]]
    )
    scores = scores_by_length([run]).set_index("length")["score"]
    assert np.isnan(scores["1"])
    assert scores["2"] == 1.0


def test_a_bucket_without_entities_has_no_score(labeling_runs: Path) -> None:
    tags = [["O"], ["B-PER", "O"]]
    run = with_predictions(read_runs(labeling_runs)[0], length=[1, 2], label=tags, predicted=tags)
    scores = scores_by_length([run]).set_index("length")["score"]
    assert np.isnan(scores["1"])
    assert scores["2"] == 1.0
