"""Small folders of evaluated runs and the data behind them, in the layout that the stages write."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.made_up import write_prepared
from unroll.data.prepared import PreparedData
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import Scores, classification_scores, labeling_scores, multilabel_scores

MODELS = {"gru": 0.9, "elman": 0.75}  # and how often each is right
SEEDS = (1, 2)
LABELS = ["negative", "neutral", "positive"]
AWKWARD_LABELS = ["NA", "gold", "1", "$a", '<script>alert("$x$")</script> & more']
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture(scope="session")
def classification_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/DATASET of a classification dataset: two models, two seeds."""
    return write_runs(tmp_path_factory.mktemp("models") / "reviews", write_classification_run)


@pytest.fixture(scope="session")
def labeling_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/DATASET of a labeling dataset: two models, two seeds."""
    return write_runs(tmp_path_factory.mktemp("models") / "entities", write_labeling_run)


@pytest.fixture(scope="session")
def multilabel_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/DATASET of a multilabel dataset: two models, two seeds."""
    return write_runs(tmp_path_factory.mktemp("models") / "topics", write_multilabel_run)


@pytest.fixture(scope="session")
def awkward_multilabel_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One multilabel run whose labels look like numbers, missing values, markup and formulas."""
    folder = tmp_path_factory.mktemp("models") / "awkward"
    write_multilabel_run(folder / "gru" / "1", 0.9, AWKWARD_LABELS)
    return folder


@pytest.fixture(scope="session")
def awkward_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run whose labels look like numbers, missing values, markup and formulas."""
    folder = tmp_path_factory.mktemp("models") / "awkward"
    write_classification_run(folder / "gru" / "1", 0.9, AWKWARD_LABELS)
    return folder


@pytest.fixture(scope="session")
def data_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Run]], PreparedData]:
    """A function that generates prepared data for runs; a tenth of the words are missing from train."""
    made: dict[str, PreparedData] = {}

    def prepare(runs: Sequence[Run]) -> PreparedData:
        run = runs[0]
        if run.dataset not in made:
            gold = run.predictions["label"].tolist()
            names = TAGS if run.task == "labeling" else run.classes["label"].tolist()
            draw = np.random.default_rng(0)
            texts = [[f"Word{draw.integers(20)}" for _ in range(length)] for length in run.predictions["length"]]
            train = [[word for word in text if word not in ("Word3", "Word4")] for text in texts]
            train_gold = [["B-PER"] * len(text) for text in train] if run.task == "labeling" else gold
            splits = {"train": (train, train_gold), "test": (texts, gold)}
            made[run.dataset] = write_prepared(tmp_path_factory.mktemp(run.dataset), run.task, names, splits)
        return made[run.dataset]

    return prepare


def write_runs(folder: Path, write: Callable[[Path, float], None]) -> Path:
    """Write a run of each of MODELS with each of SEEDS into `folder`, which is models/DATASET."""
    for model, skill in MODELS.items():
        for seed in SEEDS:
            write(folder / model / str(seed), skill)
    return folder


def write_classification_run(folder: Path, skill: float, labels: list[str] = LABELS) -> None:
    size = 120
    gold = np.random.default_rng(0).integers(0, len(labels), size)
    generator = np.random.default_rng([int(folder.name), int(100 * skill)])
    wrong = generator.integers(0, len(labels), size)
    predicted = np.where(generator.random(size) < skill, gold, wrong)
    probabilities = 0.3 / len(labels) + 0.7 * np.eye(len(labels))[predicted]
    predictions = pd.DataFrame(
        {
            "row": range(size),
            "length": _lengths(size),
            "label": [labels[index] for index in gold],
            "predicted": [labels[index] for index in predicted],
            "probabilities": list(probabilities.astype(np.float32)),
        }
    )
    scores = classification_scores(gold, probabilities, labels)
    _write_run(folder, "classification", "val/accuracy", skill, scores, predictions)


def write_multilabel_run(folder: Path, skill: float, labels: list[str] = LABELS) -> None:
    size = 120
    gold = np.random.default_rng(0).random((size, len(labels))) < 0.3
    generator = np.random.default_rng([int(folder.name), int(100 * skill)])
    predicted = gold ^ (generator.random(gold.shape) > skill)
    probabilities = np.where(predicted, 0.8, 0.1)
    predictions = pd.DataFrame(
        {
            "row": range(size),
            "length": _lengths(size),
            "label": [[labels[i] for i in np.flatnonzero(row)] for row in gold],
            "predicted": [[labels[i] for i in np.flatnonzero(row)] for row in predicted],
            "probabilities": list(probabilities.astype(np.float32)),
        }
    )
    scores = multilabel_scores(gold, probabilities, labels)
    _write_run(folder, "multilabel", "val/f1", skill, scores, predictions)


def write_labeling_run(folder: Path, skill: float) -> None:
    size = 60
    lengths = _lengths(size)
    generator = np.random.default_rng(0)
    gold = [generator.choice(TAGS, length).tolist() for length in lengths]
    generator = np.random.default_rng([int(folder.name), int(100 * skill)])
    predicted = [
        [tag if generator.random() < skill else str(generator.choice(TAGS)) for tag in sentence] for sentence in gold
    ]
    confidences = [[0.8] * length for length in lengths]
    predictions = pd.DataFrame(
        {
            "row": range(size),
            "length": lengths,
            "label": gold,
            "predicted": predicted,
            "probabilities": [np.array(values, np.float32) for values in confidences],
        }
    )
    scores = labeling_scores(gold, predicted, confidences, TAGS)
    _write_run(folder, "labeling", "val/f1", skill, scores, predictions)


def _write_run(folder: Path, task: str, monitor: str, skill: float, scores: Scores, predictions: pd.DataFrame) -> None:
    folder.mkdir(parents=True)
    model, seed = folder.parent.name, int(folder.name)
    epochs = 4 + seed
    history = pd.DataFrame(
        {
            "epoch": range(1, epochs + 1),
            "train/loss": [1 / epoch for epoch in range(1, epochs + 1)],
            "val/loss": [1.1 / epoch for epoch in range(1, epochs + 1)],
            "val/accuracy": [skill - 0.3 / epoch + 0.02 * seed for epoch in range(1, epochs + 1)],
            "learning_rate": 0.001,
            "seconds": 2.0,
        }
    )
    history[monitor] = history["val/accuracy"]
    record = {
        "dataset": folder.parent.parent.name,
        "task": task,
        "model": model,
        "seed": seed,
        "run_id": f"{model}{seed}",
        "parameters": 12_345 if model == "gru" else 4_321,
        "training_seconds": 60.0 + seed,
        "epochs": epochs,
        "best_epoch": epochs,
        "monitor": monitor,
        "best_score": float(history[monitor].max()),
        "size_bytes": 50_000,
        "seeded": True,
    }
    throughput = {"tokens_per_second": 20_000.0 + seed, "batch_size": 64, "tokens": 1000}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "metrics.json").write_text(json.dumps(scores.metrics | {"test/loss": 0.5}))
    (folder / "throughput.json").write_text(json.dumps(throughput))
    history.to_csv(folder / "history.csv", index=False)
    scores.classes.to_csv(folder / "classes.csv", index=False)
    scores.confusion.to_csv(folder / "confusion.csv")
    predictions.to_parquet(folder / "predictions.parquet")


def _lengths(size: int) -> list[int]:
    return [3 + row % 20 for row in range(size)]
