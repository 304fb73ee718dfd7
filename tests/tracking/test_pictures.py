"""The pictures of a network in its MLflow run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import unroll
from tests.tiny import random_model, save_baseline
from tests.tracking.trained import evaluate_tiny, run_of, train_pretending
from unroll.data.prepared import PreparedData
from unroll.inference.explaining.figures import explanation_figure, sensitivity_figure
from unroll.run_folder import RunFolder
from unroll.tracking.pictures import EXPLANATION, LENGTH, PICTURES, SENSITIVITY, TEXTS, draw
from unroll.tracking.provenance import Provenance
from unroll.tracking.upload import upload


def trained_on(data: PreparedData, path: Path) -> None:
    """Let the record of the training name this folder as that of its data."""
    folder = path / "training"
    replace(Provenance.load(folder), config={"data": str(data.folder)}).save(folder)


def test_a_network_s_run_has_them_once(reviews: PreparedData, tmp_path: Path) -> None:
    path = evaluate_tiny(reviews, train_pretending(reviews, tmp_path / "gru" / "3"))
    assert "pictures" not in upload(path)  # the data are not there
    trained_on(reviews, path)
    assert upload(path) == ["pictures"]
    run = run_of(path)
    logged = run.client.list_artifacts(run.run_id, PICTURES)
    assert {Path(file.path).name for file in logged} == {EXPLANATION, SENSITIVITY}
    assert all(Path(run.client.download_artifacts(run.run_id, it.path)).read_bytes()[:4] == b"\x89PNG" for it in logged)
    assert upload(path) == []
    Path(run.client.get_run(run.run_id).info.artifact_uri.removeprefix("file://"), PICTURES, SENSITIVITY).unlink()
    assert upload(path) == ["pictures"]


def test_they_are_those_of_the_functions_in_python(reviews: PreparedData, tmp_path: Path) -> None:
    random_model(reviews, "gru").save(tmp_path / "run" / "model")
    draw(RunFolder(tmp_path / "run"), "gru", reviews, tmp_path)

    predictor, split = unroll.load(tmp_path / "run"), reviews.split("test")
    means = {"gru": unroll.sensitivity(predictor, reviews, texts=TEXTS)}
    rows = split.sequences[int(np.argmin(np.abs(split.lengths - LENGTH)))]
    text = " ".join(reviews.schema.vocabulary[word] for word in reviews.table.words[rows])
    sensitivity_figure(means).savefig(tmp_path / "means.png", dpi=120)
    explanation_figure(unroll.explain(predictor, text)).savefig(tmp_path / "text.png", dpi=120)
    for found, expected in ((SENSITIVITY, "means.png"), (EXPLANATION, "text.png")):
        assert (tmp_path / found).read_bytes() == (tmp_path / expected).read_bytes()


@pytest.mark.parametrize("dataset", ["entities", "topics"])
def test_every_task_has_them(dataset: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data: PreparedData = request.getfixturevalue(dataset)
    random_model(data, "bilstm").save(tmp_path / "run" / "model")
    draw(RunFolder(tmp_path / "run"), "bilstm", data, tmp_path)
    assert all((tmp_path / name).read_bytes()[:4] == b"\x89PNG" for name in (SENSITIVITY, EXPLANATION))


def test_other_data_than_those_of_the_training_give_none(
    reviews: PreparedData, entities: PreparedData, tmp_path: Path
) -> None:
    path = evaluate_tiny(reviews, train_pretending(reviews, tmp_path / "gru" / "3"))
    upload(path)
    trained_on(entities, path)
    assert upload(path) == []


def test_a_baseline_has_none(reviews: PreparedData, tmp_path: Path) -> None:
    path = train_pretending(reviews, tmp_path / "gru" / "3")
    save_baseline(reviews, path / "model", "majority")
    trained_on(reviews, path)
    assert "pictures" not in upload(evaluate_tiny(reviews, path))
