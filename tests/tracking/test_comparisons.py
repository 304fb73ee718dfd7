from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from tests.tracking.trained import evaluate_tiny, train_pretending
from unroll.data.prepared import PreparedData
from unroll.evaluation.report import FILES, write_comparison
from unroll.evaluation.runs import Run, read_runs
from unroll.tracking.comparisons import log_comparison
from unroll.tracking.store import open_store


@pytest.fixture
def compared(reviews: PreparedData, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[list[Run], Path]:
    """The only run of a dataset, evaluated and in the store, and the folder of its report."""
    dataset = f"compared-{request.node.name}"
    folder = train_pretending(reviews, tmp_path / dataset / "gru" / "3", dataset)
    history = pd.read_csv(folder / "history.csv")
    history.assign(**{"val/accuracy": history["val/loss"]}).to_csv(folder / "history.csv", index=False)
    runs = read_runs(evaluate_tiny(reviews, folder).parents[1])
    write_comparison(runs, reviews, tmp_path / "report")
    return runs, tmp_path / "report"


def comparisons(dataset: str) -> list[MlflowRun]:
    experiment = open_store().get_experiment_by_name(dataset)
    assert experiment is not None
    found = open_store().search_runs([experiment.experiment_id], "attributes.run_name = 'comparison'")
    return list(found)


def test_a_comparison_is_a_finished_run_of_the_dataset_with_the_winner_s_figures(
    compared: tuple[list[Run], Path],
) -> None:
    runs, folder = compared
    run_id = log_comparison(runs, folder)
    (run,) = comparisons(runs[0].dataset)
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.data.tags["comparison.winner"] == "gru"
    assert run.data.metrics["test/accuracy"] == runs[0].metrics["test/accuracy"]
    assert run.data.metrics["val/accuracy"] == 0.75
    assert "test/accuracy_sd" not in run.data.metrics  # there is only one seed


def test_its_artifacts_are_the_report(compared: tuple[list[Run], Path]) -> None:
    runs, folder = compared
    artifacts = Path(mlflow.artifacts.download_artifacts(f"runs:/{log_comparison(runs, folder)}/"))
    assert {file.name for file in artifacts.iterdir()} == set(FILES)
    for name in FILES:
        assert (artifacts / name).read_bytes() == (folder / name).read_bytes()


def test_its_description_links_the_compared_runs_and_names_those_that_are_missing_from_the_store(
    compared: tuple[list[Run], Path],
) -> None:
    runs, folder = compared
    runs = [*runs, replace(runs[0], model="lstm", run_id="0" * 32)]
    log_comparison(runs, folder)
    (run,) = comparisons(runs[0].dataset)
    note = run.data.tags["mlflow.note.content"]
    assert f"- [gru, seed 3](#/experiments/{run.info.experiment_id}/runs/{runs[0].run_id})" in note
    assert f"- lstm, seed 3: run {'0' * 32}, which is not in this store" in note


def test_the_same_runs_compared_again_bring_the_same_run_up_to_date(compared: tuple[list[Run], Path]) -> None:
    runs, folder = compared
    first = log_comparison(runs, folder)
    (folder / "index.html").write_text("better")
    assert log_comparison(runs, folder) == first
    (run,) = comparisons(runs[0].dataset)
    client: MlflowClient = open_store()
    assert len(client.get_metric_history(first, "test/accuracy")) == 1
    assert Path(mlflow.artifacts.download_artifacts(f"runs:/{first}/index.html")).read_text() == "better"
    assert run.info.status == "FINISHED"


def test_a_comparison_of_more_runs_than_a_tag_could_name_is_found_again(compared: tuple[list[Run], Path]) -> None:
    runs, folder = compared
    many = [replace(runs[0], seed=seed, run_id=f"{seed:032x}") for seed in range(300)]
    assert log_comparison(many, folder) == log_comparison(many[::-1], folder)


def test_other_runs_are_another_comparison(compared: tuple[list[Run], Path]) -> None:
    runs, folder = compared
    log_comparison(runs, folder)
    log_comparison([*runs, replace(runs[0], seed=4, run_id="1" * 32)], folder)
    assert len(comparisons(runs[0].dataset)) == 2


def test_models_with_equal_scores_are_said_to_be_equal(compared: tuple[list[Run], Path]) -> None:
    runs, folder = compared
    board = pd.read_csv(folder / "leaderboard.csv")
    pd.concat([board, board.assign(model="equal")]).to_csv(folder / "leaderboard.csv", index=False)
    log_comparison(runs, folder)
    (run,) = comparisons(runs[0].dataset)
    name, monitor = board["model"][0], runs[0].monitor
    said = f"{name} and equal have the same mean {monitor}, the best of these runs; see index.html."
    assert said in run.data.tags["mlflow.note.content"]
