from pathlib import Path

import pandas as pd
import pytest

from unroll.evaluation.leaderboard import leaderboard
from unroll.evaluation.runs import read_runs
from unroll.evaluation.tables import (
    class_table,
    decision_table,
    duration_text,
    leaderboard_table,
    length_table,
    score_text,
    seed_table,
)


@pytest.mark.parametrize(
    ("metric", "mean", "sd", "text"),
    [
        ("test/accuracy", 0.91234, 0.00411, "91.23 ± 0.41"),
        ("test/accuracy", 0.5, float("nan"), "50.00"),
        ("test/f1", float("nan"), float("nan"), "–"),
        ("test/loss", 1.23456, 0.1, "1.235 ± 0.100"),
    ],
)
def test_score_text(metric: str, mean: float, sd: float, text: str) -> None:
    assert score_text(metric, mean, sd) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.97, "1 min 00 s"),
        (83, "1 min 23 s"),
        (3599.7, "1 h 00 min"),
        (7380, "2 h 03 min"),
    ],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_leaderboard_table_has_a_cell_for_every_column(labeling_runs: Path) -> None:
    table = leaderboard_table(leaderboard(read_runs(labeling_runs)), "labeling")
    assert table.header[:4] == ["model", "seeds", "validation entity F1 (%)", "test entity F1 (%)"]
    assert [row[0] for row in table.rows] == ["gru", "elman"]
    assert table.rows[0][-3:] == ["12,345", "1 min 02 s", "20,002"]
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_seed_table_lists_every_run_of_the_best_model_first(classification_runs: Path) -> None:
    table = seed_table(read_runs(classification_runs), ["gru", "elman"])
    assert [row[:2] for row in table.rows] == [["gru", "1"], ["gru", "2"], ["elman", "1"], ["elman", "2"]]
    assert table.rows[0][4:] == ["5 of 5", "1 min 01 s", "gru1"]


def test_length_table_counts_the_examples_of_each_bucket(classification_runs: Path) -> None:
    table = length_table(read_runs(classification_runs), ["gru", "elman"])
    assert table.header[1] == "3-6 tokens (n=24)"
    assert [row[0] for row in table.rows] == ["gru", "elman"]
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_class_table_is_the_mean_over_the_seeds_of_one_model(classification_runs: Path) -> None:
    runs = read_runs(classification_runs, ["gru"])
    table = class_table(runs, "gru")
    assert [row[0] for row in table.rows] == ["negative", "neutral", "positive"]
    f1 = sum(run.classes["f1"][0] for run in runs) / 2
    assert table.rows[0][3] == f"{100 * f1:.2f}"


def test_decision_table_has_a_row_a_label() -> None:
    confusion = pd.DataFrame({"true positives": [1200, 0], "true negatives": [3, 4]}, index=["NA", "1"])
    table = decision_table(confusion, "gru")
    assert table.header == ["label", "true positives", "true negatives"]
    assert table.rows == [["NA", "1,200", "3"], ["1", "0", "4"]]
