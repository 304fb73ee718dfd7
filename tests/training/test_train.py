import csv
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import sklearn.metrics
import torch
from safetensors.torch import load_file
from seqeval.metrics import f1_score

from tests.tiny import OPTIONS, save_random_model, tiny_parts
from tests.training.processes import print_to, train_apart
from unroll.data.predictions import Prediction
from unroll.data.prepared import PreparedData
from unroll.files import sha256
from unroll.inference.trained_model import TrainedModel
from unroll.training.train import microseconds_per_token, train

RATE = tiny_parts("lstm")["optimizer"]["lr"]
LONG = {"model": "bilstm", "max_epochs": 12}
PATIENT = replace(OPTIONS, patience=12)


class Trained(NamedTuple):
    data: PreparedData
    output: Path
    figures: dict[str, Any]


@pytest.fixture(scope="module")
def trained_reviews(reviews: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    output = tmp_path_factory.mktemp("reviews")
    return Trained(reviews, output, train(reviews, tiny_parts(**LONG), PATIENT, output))


@pytest.fixture(scope="module")
def trained_entities(entities: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    output = tmp_path_factory.mktemp("entities")
    return Trained(entities, output, train(entities, tiny_parts(**LONG), PATIENT, output))


def history(output: Path) -> list[dict[str, float]]:
    with (output / "history.csv").open(newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def timeless(output: Path) -> list[dict[str, float]]:
    return [row | {"seconds": 0} for row in history(output)]


def weights(output: Path) -> str:
    return sha256(output / "model" / "weights.safetensors")


def val_predictions(data: PreparedData, output: Path) -> list[Prediction]:
    """The predictions of the saved model for the validation split."""
    return TrainedModel.load(output / "model").predict(data.split("validation"), batch_size=4)


def val_accuracy(data: PreparedData, output: Path) -> float:
    labels = [np.atleast_1d(found.labels) for found in val_predictions(data, output)]
    return float(np.mean(np.concatenate(labels) == data.split("validation").labels))


def val_label_sets(data: PreparedData, output: Path) -> tuple[np.ndarray, np.ndarray]:
    """The gold and predicted label sets of a multilabel dataset, bool (N, L) each."""
    return data.split("validation").labels, np.array([found.labels for found in val_predictions(data, output)])


def val_f1(data: PreparedData, output: Path) -> float:
    split, names = data.split("validation"), data.label_names
    gold = np.split(split.labels, split.offsets[1:-1])
    predicted = [found.labels for found in val_predictions(data, output)]
    return float(f1_score(*([[names[tag] for tag in tags] for tags in side] for side in (gold, predicted))))


def test_the_model_of_the_epoch_with_the_best_accuracy_is_kept(trained_reviews: Trained) -> None:
    data, output, figures = trained_reviews
    scores = [row["val/accuracy"] for row in history(output)]
    assert figures["monitor"] == "val/accuracy"
    assert figures["best_score"] == max(scores)
    assert figures["best_epoch"] == 1 + int(np.argmax(scores))
    assert len(set(scores)) > 1
    assert val_accuracy(data, output) == pytest.approx(max(scores), abs=1e-6)


def test_the_model_of_the_epoch_with_the_best_entity_f1_is_kept(trained_entities: Trained) -> None:
    data, output, figures = trained_entities
    rows = history(output)
    scores = [row["val/f1"] for row in rows]
    best = int(np.argmax(scores))
    assert figures["monitor"] == "val/f1"
    assert (figures["best_score"], figures["best_epoch"]) == (max(scores), best + 1)
    assert max(scores) > 0.5
    assert val_f1(data, output) == pytest.approx(scores[best], abs=1e-6)
    assert val_accuracy(data, output) == pytest.approx(rows[best]["val/accuracy"], abs=1e-6)


def test_the_model_of_the_epoch_with_the_best_f1_of_labels_is_kept(topics: PreparedData, tmp_path: Path) -> None:
    figures = train(topics, tiny_parts(**LONG), PATIENT, tmp_path)
    rows = history(tmp_path)
    scores = [row["val/f1"] for row in rows]
    best = int(np.argmax(scores))
    assert (figures["monitor"], figures["best_score"], figures["best_epoch"]) == ("val/f1", max(scores), best + 1)
    assert max(scores) > 0.7
    sides = val_label_sets(topics, tmp_path)
    assert sklearn.metrics.f1_score(*sides, average="micro") == pytest.approx(scores[best], abs=1e-6)
    assert sklearn.metrics.accuracy_score(*sides) == pytest.approx(rows[best]["val/accuracy"], abs=1e-6)
    probabilities = np.array([found.probabilities for found in val_predictions(topics, tmp_path)])
    losses = -np.log(np.where(sides[0], probabilities, 1 - probabilities))
    assert losses.mean() == pytest.approx(rows[best]["val/loss"], abs=1e-5)


def test_figures_describe_the_model_and_the_run(trained_reviews: Trained) -> None:
    _, output, figures = trained_reviews
    tensors = load_file(output / "model" / "weights.safetensors")
    assert figures["parameters"] == sum(tensor.numel() for tensor in tensors.values())
    assert figures["size_bytes"] == sum(len(path.read_bytes()) for path in (output / "model").iterdir())
    assert figures["epochs"] == len(history(output))
    assert figures["training_seconds"] == history(output)[-1]["seconds"]


def test_history_has_a_row_an_epoch(trained_entities: Trained) -> None:
    rows = history(trained_entities.output)
    assert list(rows[0]) == [
        "epoch",
        "train/loss",
        "val/accuracy",
        "val/f1",
        "val/loss",
        "learning_rate",
        "seconds",
    ]
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(earlier["seconds"] < later["seconds"] for earlier, later in pairwise(rows))
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]


def test_history_gives_the_learning_rate_that_the_schedule_has_reached(trained_entities: Trained) -> None:
    rows = history(trained_entities.output)
    total, warm = 12 * 6, round(0.05 * 12 * 6)  # 6 steps per epoch
    expected = [RATE * (total - 6 * (epoch + 1)) / (total - warm) for epoch in range(len(rows))]
    assert [row["learning_rate"] for row in rows] == pytest.approx(expected)


def test_validation_loss_is_the_mean_over_tokens(trained_entities: Trained) -> None:
    data, output, figures = trained_entities
    labels = data.split("validation").labels
    probabilities = np.concatenate([found.probabilities for found in val_predictions(data, output)])
    losses = -np.log(probabilities[np.arange(len(labels)), labels])
    recorded = history(output)[figures["best_epoch"] - 1]["val/loss"]
    assert recorded == pytest.approx(losses.mean(), abs=1e-5)


def test_a_network_of_characters_and_a_crf_learns(entities: PreparedData, tmp_path: Path) -> None:
    figures = train(entities, tiny_parts("bilstm_char_crf", max_epochs=8), PATIENT, tmp_path)
    rows = history(tmp_path)
    assert rows[-1]["train/loss"] < rows[0]["train/loss"] / 2
    assert figures["best_score"] > 0.5
    assert val_f1(entities, tmp_path) == pytest.approx(figures["best_score"], abs=1e-6)


def test_validation_decides_as_the_head_does(entities: PreparedData, tmp_path: Path) -> None:
    parts = tiny_parts("bilstm_char_crf", max_epochs=1)
    parts["optimizer"] |= {"lr": 0.0}  # the argmax of an untrained network is often not valid IOB2
    train(entities, parts, OPTIONS, tmp_path)
    assert history(tmp_path)[0]["val/accuracy"] == pytest.approx(val_accuracy(entities, tmp_path), abs=1e-6)


def test_a_limit_of_tokens_makes_more_steps(reviews: PreparedData, tmp_path: Path) -> None:
    train(reviews, tiny_parts("lstm", max_epochs=1), replace(OPTIONS, batch_tokens=1), tmp_path)
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == len(reviews.split("train"))  # one sequence per batch


def test_the_same_seed_gives_the_same_bytes(trained_reviews: Trained, tmp_path: Path) -> None:
    torch.rand(3)  # the state of the random number generator before the call does not matter
    train(trained_reviews.data, tiny_parts(**LONG), PATIENT, tmp_path)
    assert weights(tmp_path) == weights(trained_reviews.output)
    assert timeless(tmp_path) == timeless(trained_reviews.output)


def test_another_seed_gives_another_model(trained_reviews: Trained, tmp_path: Path) -> None:
    train(trained_reviews.data, tiny_parts(**LONG), replace(PATIENT, seed=2), tmp_path)
    assert weights(tmp_path) != weights(trained_reviews.output)
    assert timeless(tmp_path) != timeless(trained_reviews.output)


def test_training_stops_when_the_score_gets_no_better(reviews: PreparedData, tmp_path: Path) -> None:
    figures = train(reviews, tiny_parts("lstm", max_epochs=40), replace(OPTIONS, patience=2), tmp_path)
    scores = [row["val/accuracy"] for row in history(tmp_path)]
    assert figures["epochs"] == len(scores) == figures["best_epoch"] + 2 < 40
    assert all(score <= figures["best_score"] for score in scores[-2:])


def test_a_finished_training_is_not_repeated(
    reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(reviews, tiny_parts("lstm"), OPTIONS, tmp_path)
    before = timeless(tmp_path), weights(tmp_path)
    capsys.readouterr()

    second = train(reviews, tiny_parts("lstm"), OPTIONS, tmp_path)

    assert capsys.readouterr().out == f"{tmp_path}: resuming from the last checkpoint\n"  # and trains no epoch
    assert (timeless(tmp_path), weights(tmp_path)) == before
    assert second == first


def test_checkpoints_hold_tensors_and_plain_values(trained_reviews: Trained) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        state = torch.load(trained_reviews.output / "checkpoints" / name, weights_only=True)
        assert "state_dict" in state


@pytest.mark.parametrize(
    ("group", "key", "value", "message"),
    [
        ("model", "pooling", "first", r"model\.pooling='first': input should be 'last', 'mean', 'max'"),
        ("scheduler", "warmup", 2.0, "scheduler.warmup=2.0; accepted: 0 to below 1"),
        ("trainer", "max_epochs", 0, "trainer.max_epochs=0; accepted: 1 or more"),
        ("trainer", "val_check_interval", 0.5, r"trainer\.val_check_interval=0\.5; accepted: no such key"),
        ("trainer", "check_val_every_n_epoch", 2, r"trainer\.check_val_every_n_epoch=2; accepted: no such key"),
        ("trainer", "accelerator", "abacus", r"trainer\.accelerator='abacus'.*trainer=cpu works everywhere"),
    ],
)
def test_values_that_a_part_refuses_are_named(
    group: str, key: str, value: object, message: str, reviews: PreparedData, tmp_path: Path
) -> None:
    parts = tiny_parts("lstm")
    parts[group][key] = value
    with pytest.raises(ValueError, match=message):
        train(reviews, parts, OPTIONS, tmp_path)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator here")
def test_a_missing_gpu_is_named_with_the_way_out(reviews: PreparedData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"trainer.accelerator='gpu'.*trainer=cpu works everywhere"):
        train(reviews, tiny_parts("lstm", trainer="gpu"), OPTIONS, tmp_path)


def test_two_processes_score_label_sets_together(topics: PreparedData, tmp_path: Path) -> None:
    parts = tiny_parts("lstm", trainer="ddp")
    parts["trainer"] |= {"accelerator": "cpu"}
    assert train_apart(topics, tmp_path, parts, OPTIONS) == 0
    best = max(history(tmp_path), key=lambda row: row["val/f1"])
    sides = val_label_sets(topics, tmp_path)
    assert sklearn.metrics.f1_score(*sides, average="micro") == pytest.approx(best["val/f1"], abs=1e-6)
    assert sklearn.metrics.accuracy_score(*sides) == pytest.approx(best["val/accuracy"], abs=1e-6)


def test_two_processes_train_one_model(reviews: PreparedData, tmp_path: Path) -> None:
    parts = tiny_parts("lstm", trainer="ddp")
    parts["trainer"] |= {"accelerator": "cpu"}

    assert train_apart(reviews, tmp_path, parts, OPTIONS, partial(print_to, tmp_path / "stdout")) == 0

    rows = history(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert (tmp_path / "stdout").read_text().count("epoch 1/3") == 1  # only one process prints
    # The score is computed over the batches of both processes.
    best = max(row["val/accuracy"] for row in rows)
    assert val_accuracy(reviews, tmp_path) == pytest.approx(best, abs=1e-6)
    # 44 sequences are 6 batches of 8, 3 for each process: 9 steps in 3 epochs, the first of them to warm up.
    assert [row["learning_rate"] for row in rows] == pytest.approx([RATE * 6 / 8, RATE * 3 / 8, 0])


def test_the_cost_of_a_token_is_the_best_of_three_predictions(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_random_model(reviews, tmp_path / "gru")
    times = iter([0.0, 5.0, 10.0, 12.0, 20.0, 29.0])  # start and end of each prediction
    monkeypatch.setattr("unroll.training.train.time", SimpleNamespace(perf_counter=lambda: next(times)))

    found = microseconds_per_token(folder, reviews, batch_size=8)

    assert found == pytest.approx(2e6 / len(reviews.split("validation").tokens))
    assert next(times, None) is None
