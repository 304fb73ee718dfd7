import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from unroll.evaluation.runs import Run, read_runs
from unroll.files import read_json, write_json

AWKWARD_LABELS = ["NA", "gold", "1", "$a", '<script>alert("$x$")</script> & more']


@pytest.fixture
def folder(classification_runs: Path, tmp_path: Path) -> Path:
    """A copy of the runs that a test may change."""
    return Path(shutil.copytree(classification_runs, tmp_path / "reviews"))


def change_record(run: Path, **changes: Any) -> None:
    write_json(run / "run.json", read_json(run / "run.json") | changes)


def names(runs: list[Run]) -> list[tuple[str, int]]:
    return [(run.model, run.seed) for run in runs]


def test_every_run_is_found_in_order(folder: Path) -> None:
    shutil.copytree(folder / "gru" / "2", folder / "gru" / "10")
    change_record(folder / "gru" / "10", seed=10, run_id="gru10")
    assert names(read_runs(folder)) == [("elman", 1), ("elman", 2), ("gru", 1), ("gru", 2), ("gru", 10)]


def test_exactly_the_named_runs_are_read(classification_runs: Path) -> None:
    assert names(read_runs(classification_runs, ["gru", "elman"], [2])) == [("gru", 2), ("elman", 2)]
    assert names(read_runs(classification_runs, models=["gru"])) == [("gru", 1), ("gru", 2)]


def test_a_run_holds_what_its_files_say(labeling_runs: Path) -> None:
    run = read_runs(labeling_runs, ["gru"], [2])[0]
    assert (run.dataset, run.task, run.run_id, run.parameters) == ("entities", "labeling", "gru2", 12_345)
    assert run.tokens_per_second == 20_002
    assert run.metrics["test/loss"] == 0.5
    assert run.best_score == run.history["val/f1"].max()
    assert run.confusion.to_numpy().sum() == run.predictions["length"].sum()
    assert list(run.predictions["predicted"].map(len)) == list(run.predictions["length"])


@pytest.mark.parametrize(
    ("folder", "has_speed"), [("classification_runs", False), ("multilabel_runs", False), ("labeling_runs", True)]
)
def test_a_model_that_predicts_the_same_for_every_text_has_no_speed(
    folder: str, has_speed: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    copy = tmp_path / "models" / "copy"
    shutil.copytree(request.getfixturevalue(folder), copy)
    predictions = pd.read_parquet(copy / "gru" / "1" / "predictions.parquet")
    predictions["probabilities"] = [predictions["probabilities"][0]] * len(predictions)
    predictions.to_parquet(copy / "gru" / "1" / "predictions.parquet")
    same, varied = read_runs(copy, ["gru"])
    assert math.isnan(same.tokens_per_second) != has_speed
    assert varied.tokens_per_second == 20_002


@pytest.mark.parametrize(
    ("models", "seeds", "missing"),
    [
        (["lstm"], [1], "model=lstm seed=1"),
        (["gru"], [1, 9], "model=gru seed=9"),
        (["lstm"], None, "model=lstm seed=SEED"),
        (None, [9], "model=elman seed=9"),
    ],
)
def test_a_missing_run_is_named_with_the_command_that_makes_it(
    classification_runs: Path, models: list[str] | None, seeds: list[int] | None, missing: str
) -> None:
    with pytest.raises(
        ValueError,
        match=rf"no run in .*train.py dataset=reviews {missing}` and .*evaluate.py dataset=reviews",
    ):
        read_runs(classification_runs, models, seeds)


@pytest.mark.parametrize(("models", "seeds"), [(["gru"], [1]), (["gru"], None), (None, None)])
def test_a_trained_model_is_only_to_be_evaluated(
    tmp_path: Path, models: list[str] | None, seeds: list[int] | None
) -> None:
    run = tmp_path / "reviews" / "gru" / "1"
    (run / "model").mkdir(parents=True)
    for name in ("run.json", "history.csv"):
        (run / name).touch()
    with pytest.raises(
        ValueError, match=r"create it with `python pipelines/evaluate\.py dataset=reviews model=\w+ seed="
    ):
        read_runs(tmp_path / "reviews", models, seeds)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no run in .*reviews"):
        read_runs(tmp_path / "reviews")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "gru" / "1" / "throughput.json").unlink()
    with pytest.raises(ValueError, match=r"gru/1 \(throughput.json is missing\)"):
        read_runs(folder)


@pytest.mark.parametrize(
    ("name", "content", "stage"),
    [
        ("run.json", "{}", "train"),
        ("run.json", '{"dataset": "rev', "train"),
        ("history.csv", "", "train"),
        ("metrics.json", '{"test/loss": 0.5', "evaluate"),
        ("throughput.json", "[]", "evaluate"),
        ("classes.csv", "", "evaluate"),
        ("confusion.csv", "", "evaluate"),
        ("confusion.csv", "gold,a\na,many", "evaluate"),
        ("predictions.parquet", "PAR1", "evaluate"),
    ],
)
def test_a_damaged_file_is_named_with_the_command_that_makes_it_again(
    folder: Path, name: str, content: str, stage: str
) -> None:
    (folder / "gru" / "1" / "model").mkdir()
    (folder / "gru" / "1" / name).write_text(content)
    with pytest.raises(ValueError) as error:
        read_runs(folder)
    assert str(error.value).startswith(f"{folder}/gru/1/{name} is damaged (")
    assert f"recreate it with `python pipelines/{stage}.py dataset=reviews model=gru seed=1`" in str(error.value)


@pytest.mark.parametrize(
    ("copy", "said"),
    [
        ("reviews/gru_old/2", "reviews/gru_old/2 is not a run of model gru_old: its run.json is of model gru"),
        ("reviews/gru/3", "reviews/gru/3 is not a run of seed 3: its run.json is of seed 2"),
        ("reviews/gru/old", "reviews/gru/old is not a run"),
    ],
)
def test_a_copied_folder_is_no_further_run(folder: Path, copy: str, said: str) -> None:
    target = folder.parent / copy
    shutil.copytree(folder / "gru" / "2", target)
    with pytest.raises(ValueError) as error:
        read_runs(target.parents[1])
    assert said in str(error.value)


def test_a_run_that_occurs_twice_is_refused(folder: Path) -> None:
    change_record(folder / "gru" / "2", run_id="gru1")
    with pytest.raises(ValueError, match=r"gru/2 and .*gru/1 are the same run, gru1: remove the copy"):
        read_runs(folder)


def test_runs_on_different_test_examples_are_refused(folder: Path) -> None:
    path = folder / "gru" / "2" / "predictions.parquet"
    pd.read_parquet(path)[:100].to_parquet(path)
    with pytest.raises(ValueError, match=r"reviews/gru/2 and reviews/elman/1 .* \(100 and 120\)"):
        read_runs(folder)


def test_runs_chosen_by_different_metrics_are_refused(folder: Path) -> None:
    change_record(folder / "gru" / "2", monitor="val/f1")
    with pytest.raises(ValueError, match="reviews/gru/2 was selected by val/f1, reviews/elman/1 by val/accuracy"):
        read_runs(folder)


def test_predictions_come_in_the_order_of_the_test_split(folder: Path) -> None:
    path = folder / "gru" / "2" / "predictions.parquet"
    pd.read_parquet(path)[::-1].to_parquet(path)
    assert list(read_runs(folder, ["gru"], [2])[0].predictions["row"]) == list(range(120))


def test_labels_that_look_like_something_else_stay_text(awkward_runs: Path) -> None:
    run = read_runs(awkward_runs)[0]
    found = (run.classes["label"], run.confusion.index, run.confusion.columns)
    assert [list(labels) for labels in found] == [AWKWARD_LABELS] * 3
    assert run.confusion.index.name == "gold"
    assert run.confusion.to_numpy().sum() == 120


def test_decisions_of_labels_that_look_like_something_else_are_read_as_they_were(awkward_multilabel_runs: Path) -> None:
    run = read_runs(awkward_multilabel_runs)[0]
    assert run.confusion.index.name == "label"
    assert list(run.confusion.index) == list(run.classes["label"]) == AWKWARD_LABELS
    assert list(run.confusion.columns) == ["true positives", "false positives", "false negatives", "true negatives"]
    assert run.confusion.sum(axis=1).tolist() == [120] * len(AWKWARD_LABELS)
