from dataclasses import replace
from pathlib import Path

import pandas as pd

from unroll.evaluation.leaderboard import leaderboard, with_intervals_over_texts
from unroll.evaluation.runs import read_runs
from unroll.evaluation.slices import Slices, slices_by_label, slices_by_length
from unroll.evaluation.tables import (
    class_table,
    decision_table,
    label_table,
    leaderboard_table,
    other_scores_table,
    seed_table,
    slices_table,
)
from unroll.pages.page import Cell


def test_leaderboard_table_has_a_cell_for_every_column(labeling_runs: Path) -> None:
    runs = read_runs(labeling_runs)
    board = with_intervals_over_texts(leaderboard(runs), runs)
    table = leaderboard_table(board, {"gru": "a", "elman": "ab"}, runs, "95 %")
    scores = [
        "validation entity F1 (%)",
        "test entity F1 (%)",
        "95 % interval, other seeds",
        "95 % interval, other texts",
    ]
    assert table.header[:7] == ["model", "seeds", *scores, "letters"]
    assert [(row[0], row[6]) for row in table.rows] == [("gru", "a"), ("elman", "ab")]
    assert [cell.text for cell in table.rows[0][-4:] if isinstance(cell, Cell)] == [
        "12,345",
        "50.0 kB",
        "1 min 02 s",
        "20,000",
    ]
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_numbers_of_the_leaderboard_sort_by_their_values(classification_runs: Path) -> None:
    runs = read_runs(classification_runs)
    board = with_intervals_over_texts(leaderboard(runs), runs)
    row = leaderboard_table(board, {"gru": "a", "elman": "b"}, runs, "95 %").rows[0]
    columns = ["seeds", "val/accuracy", "test/accuracy", "test/accuracy_low", "test/accuracy_texts_low"]
    columns += ["parameters", "size_bytes", "training_seconds", "tokens_per_second"]
    assert [cell.value for cell in row if isinstance(cell, Cell)] == board.loc[0, columns].tolist()


def test_other_scores_are_those_that_the_leaderboard_does_not_show(classification_runs: Path) -> None:
    board = leaderboard(read_runs(classification_runs))
    table = other_scores_table(board, ["val/accuracy", "test/accuracy"], "classification")
    assert table.header == ["model", "test macro F1 (%)", "test calibration error (%)", "test loss"]
    assert table.rows[0][3] == Cell("0.500 ± 0.000", 0.5)


def test_the_leaderboard_table_has_the_devices_if_they_differ(labeling_runs: Path) -> None:
    runs = [replace(run, device=run.model, evaluated_on="cpu") for run in read_runs(labeling_runs)]
    board = with_intervals_over_texts(leaderboard(runs), runs)
    table = leaderboard_table(board, {"gru": "a", "elman": "ab"}, runs, "95 %")
    assert table.header[-2:] == ["trained on", "evaluated on"]
    assert [row[-2:] for row in table.rows] == [["gru", "cpu"], ["elman", "cpu"]]
    times = [row[table.header.index("training time")] for row in table.rows]
    assert [time.text for time in times if isinstance(time, Cell)] == ["1 min 02 s", "\N{EN DASH}"]


def test_seed_table_lists_every_run_of_the_best_model_first(classification_runs: Path) -> None:
    table = seed_table(read_runs(classification_runs), ["gru", "elman"], {})
    assert [row[:2] for row in table.rows] == [["gru", "1"], ["gru", "2"], ["elman", "1"], ["elman", "2"]]
    assert table.rows[0][4:] == ["5 of 5", "1 min 01 s", "unknown", Cell("gru1")]


def test_slices_table_counts_the_examples_of_each_part(classification_runs: Path) -> None:
    slices = slices_by_length(read_runs(classification_runs))
    table = slices_table(slices, ["gru", "elman"], "by length", " tokens")
    assert table
    assert table.header[1] == "3-6 tokens (n=24)"
    assert [row[0] for row in table.rows] == ["gru", "elman"]
    assert table.rows[0][1] == f"({100 * slices.scores.loc['gru', '3-6']:.0f})"
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_parts_without_another_have_no_table() -> None:
    slices = Slices(pd.Series([50], ["5"]), pd.DataFrame([[1.0]], ["gru"], ["5"]))
    assert slices_table(slices, ["gru"], "by length") is None
    assert label_table(slices, ["gru"], "label") is None


def test_label_table_has_a_row_a_label_and_a_column_a_model(labeling_runs: Path) -> None:
    slices = slices_by_label(read_runs(labeling_runs))
    table = label_table(slices, ["gru", "elman"], "entity type")
    assert table
    assert table.header == ["entity type", "in the test split", "gru", "elman"]
    assert table.rows[1] == [
        "LOC",
        str(slices.sizes["LOC"]),
        *(f"{100 * slices.scores.loc[model, 'LOC']:.2f}" for model in ("gru", "elman")),
    ]


def test_class_table_is_the_mean_over_the_seeds_of_one_model(classification_runs: Path) -> None:
    runs = read_runs(classification_runs, ["gru"])
    table = class_table(runs, "gru", "label")
    assert [row[0] for row in table.rows] == ["negative", "neutral", "positive"]
    f1 = sum(run.classes["f1"][0] for run in runs) / 2
    assert table.rows[0][3] == f"{100 * f1:.2f}"


def test_a_label_that_is_missing_from_the_test_split_has_no_scores(classification_runs: Path) -> None:
    run = read_runs(classification_runs, ["gru"], [1])[0]
    classes = run.classes.assign(precision=0.0, recall=0.0, f1=0.0, support=[0, 60, 60])
    row = class_table([replace(run, classes=classes)], "gru", "label").rows[0]
    assert row == ["negative", "–", "–", "–", "0"]


def test_decision_table_has_a_row_a_label() -> None:
    confusion = pd.DataFrame({"true positives": [1200, 0], "true negatives": [3, 4]}, index=["NA", "1"])
    table = decision_table(confusion, "gru")
    assert table.header == ["label", "true positives", "true negatives"]
    assert table.rows == [["NA", "1,200", "3"], ["1", "0", "4"]]
