"""Baselines are trained, evaluated and saved like networks."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from seqeval.metrics import f1_score

from tests.tiny import CONF, OPTIONS, save_random_model, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.inference.trained_model import TrainedModel
from unroll.training.train import train

CASES: list[tuple[Task, str]] = [
    ("classification", "majority"),
    ("classification", "tfidf"),
    ("multilabel", "majority"),
    ("multilabel", "tfidf"),
    ("labeling", "majority"),
    ("labeling", "crfsuite"),
]
each_case = pytest.mark.parametrize(("task", "model"), CASES)


def history(output: Path) -> list[dict[str, float]]:
    with (output / "history.csv").open(newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def scores(data: PreparedData, output: Path) -> dict[str, float]:
    """Validation scores of the saved model, computed with scikit-learn and seqeval."""
    split, names = data.split("validation"), data.label_names
    predictions = TrainedModel.load(output / "model").predict(split, batch_size=4)
    probabilities = np.vstack([found.probabilities for found in predictions])
    if data.task == "multilabel":
        likely = np.where(split.labels, probabilities, 1 - probabilities)
        sides = split.labels, np.array([found.labels for found in predictions])
        f1 = sklearn.metrics.f1_score(*sides, average="micro", zero_division=0)
        return {"accuracy": sklearn.metrics.accuracy_score(*sides), "f1": f1, "loss": -np.log(likely).mean()}
    labels = np.concatenate([np.atleast_1d(found.labels) for found in predictions])
    found = {
        "accuracy": sklearn.metrics.accuracy_score(split.labels, labels),
        "loss": sklearn.metrics.log_loss(split.labels, probabilities, labels=range(len(names))),
    }
    if data.task == "labeling":
        sides = (np.split(side, split.offsets[1:-1]) for side in (split.labels, labels))
        found["f1"] = float(f1_score(*([[names[tag] for tag in tags] for tags in side] for side in sides)))
    return found


@each_case
def test_its_record_is_that_of_a_training_of_one_epoch(
    task: Task, model: str, prepared: dict[Task, PreparedData], tmp_path: Path
) -> None:
    data = prepared[task]
    figures = train(data, tiny_parts(model), OPTIONS, tmp_path)
    (row,) = history(tmp_path)
    expected = scores(data, tmp_path)
    assert {name: row[f"val/{name}"] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert row["train/loss"] > 0
    monitor = "val/accuracy" if task == "classification" else "val/f1"
    assert figures == {
        "monitor": monitor,
        "best_score": row[monitor],
        "best_epoch": 1,
        "epochs": 1,
        "training_seconds": row["seconds"],
        "device": "cpu",
        "parameters": TrainedModel.load(tmp_path / "model").model.num_parameters,
        "seeded": False,
        "size_bytes": sum(file.stat().st_size for file in (tmp_path / "model").iterdir()),
    }


@each_case
def test_its_history_has_the_columns_of_a_network_s_but_the_learning_rate(
    task: Task, model: str, prepared: dict[Task, PreparedData], tmp_path: Path
) -> None:
    train(prepared[task], tiny_parts(model), OPTIONS, tmp_path / "baseline")
    train(prepared[task], tiny_parts("fcnn", max_epochs=1), OPTIONS, tmp_path / "network")
    baseline, network = (history(tmp_path / name)[0] for name in ("baseline", "network"))
    assert list(baseline) == [name for name in network if name != "learning_rate"]


@each_case
def test_it_is_evaluated_as_a_network_is(
    task: Task, model: str, prepared: dict[Task, PreparedData], tmp_path: Path
) -> None:
    train(prepared[task], tiny_parts(model), OPTIONS, tmp_path)
    metrics = evaluate(prepared[task], tmp_path, EvaluateOptions(batch_size=8, threads=1))
    assert {"test/accuracy", "test/loss", "test/calibration_error"} <= set(metrics)
    assert np.isfinite(list(metrics.values())).all()


@each_case
def test_its_folder_holds_nothing_pickled(
    task: Task, model: str, prepared: dict[Task, PreparedData], tmp_path: Path
) -> None:
    train(prepared[task], tiny_parts(model), OPTIONS, tmp_path)
    endings = {file.suffix for file in (tmp_path / "model").iterdir()}
    assert endings == {".json", ".crfsuite" if model == "crfsuite" else ".safetensors"}


def test_the_seed_does_not_matter(entities: PreparedData, tmp_path: Path) -> None:
    for seed in (1, 2):
        train(entities, tiny_parts("crfsuite"), replace(OPTIONS, seed=seed), tmp_path / str(seed))
    first, second = (tmp_path / seed / "model" / "model.crfsuite" for seed in ("1", "2"))
    assert first.read_bytes() == second.read_bytes()


def test_one_for_another_task_is_refused_with_those_that_fit(entities: PreparedData, tmp_path: Path) -> None:
    message = (
        "model: TfIdf is for classification and multilabel, and the dataset's task is labeling; "
        "accepted: model=crfsuite, model=majority, or a network, such as model=bilstm"
    )
    with pytest.raises(ValueError, match=message):
        train(entities, tiny_parts("tfidf"), OPTIONS, tmp_path)


HEAVY = {"pytorch_lightning", "lightning_fabric", "torchmetrics"}
# Fits a baseline, then evaluates it and a network; prints the modules that this imported.
PROGRAM = """
import json, sys
from pathlib import Path
from tests.tiny import CONF, OPTIONS, save_random_model, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.training.train import train

folder = Path(sys.argv[1])
data = PreparedData(Path(sys.argv[2]))
train(data, tiny_parts("majority"), OPTIONS, folder / "majority")
for run in ("majority", "gru"):
    evaluate(data, folder / run, EvaluateOptions(batch_size=8, threads=1))
print(json.dumps(sorted(sys.modules)))
"""


def test_baselines_and_evaluation_do_without_lightning_which_takes_seconds_to_import(
    reviews: PreparedData, tmp_path: Path
) -> None:
    save_random_model(reviews, tmp_path / "gru" / "model")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(reviews.folder)]
    done = subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"torch", "unroll.training.train"} <= modules
    assert not HEAVY & modules
