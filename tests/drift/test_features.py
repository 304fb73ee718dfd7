from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.drift.files import write
from tests.tiny import forget_checksums, save_random_model
from unroll.data.prepared import PreparedData
from unroll.data.source import COLUMNS, Source
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import Task
from unroll.drift.drift import DriftOptions, find_drift
from unroll.drift.features import prediction_features
from unroll.drift.new_text import read_new_text
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.files import read_json, write_json

TASKS = [*COLUMNS]


@pytest.fixture(scope="module")
def runs(prepared: dict[Task, PreparedData], tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Path]:
    """An evaluated run of an untrained network for every task."""
    folders = {task: tmp_path_factory.mktemp(task) for task in prepared}
    for task, folder in folders.items():
        save_random_model(prepared[task], folder / "model")
        evaluate(prepared[task], folder, EvaluateOptions(batch_size=5, threads=1))
    return folders


def source_of(task: Task) -> Source:
    return Source(task, "acme/tiny", {name: name for name in COLUMNS[task][0]})


def features(data: PreparedData, run: Path, file: Path) -> dict[str, Any]:
    text = read_new_text(file, source_of(data.task), Tokenizer())
    return {feature.name: feature for feature in prediction_features(data, run, text)}


@pytest.mark.parametrize("task", TASKS)
def test_of_the_test_split_a_model_predicts_what_it_did(
    task: Task, prepared: dict[Task, PreparedData], runs: dict[Task, Path]
) -> None:
    data = prepared[task]
    found = features(data, runs[task], data.folder.parent / "raw" / "test.parquet")
    reference, new = found["predictions"].bins
    assert new == pytest.approx(reference)
    assert new.sum() == pytest.approx(len(data.split("test")))
    before, after = found["confidence"].summaries
    assert after == pytest.approx(before, abs=1e-4)
    expected = {"classification": None, "labeling": "tokens in entities", "multilabel": "labels per text"}[task]
    assert set(found) - {"predictions", "confidence"} == ({f"{expected}, predictions"} if expected else set())


def test_the_shares_and_the_confidence_are_those_of_the_predictions_file(
    reviews: PreparedData, runs: dict[Task, Path]
) -> None:
    found = features(reviews, runs["classification"], reviews.folder.parent / "raw" / "train.parquet")
    table = pd.read_parquet(runs["classification"] / "predictions.parquet")
    shares, _ = found["predictions"].summaries
    assert shares == pytest.approx(table["predicted"].value_counts(normalize=True).to_dict())
    confidence, _ = found["confidence"].summaries
    highest = np.stack(table["probabilities"]).max(axis=1)
    expected = {"mean": highest.mean(), "10 %": np.quantile(highest, 0.1), "90 %": np.quantile(highest, 0.9)}
    assert confidence == pytest.approx(expected, abs=1e-4)


def test_predictions_that_shift_are_found(reviews: PreparedData, runs: dict[Task, Path], tmp_path: Path) -> None:
    run = runs["classification"]
    table = pd.read_parquet(run / "predictions.parquet")
    raw = pd.read_parquet(reviews.folder.parent / "raw" / "test.parquet")
    rare = table["predicted"].value_counts().index[-1]
    texts = [text for text, label in zip(raw["text"], table["predicted"], strict=True) if label == rare]
    file = write(tmp_path / "new.txt", {"text": texts * 20})
    drift = find_drift(
        source_of("classification"),
        DriftOptions(str(file), str(reviews.folder), "drift.json", str(run), watch=0.1, retrain=0.25, level=0.05),
    )
    verdicts = {found.feature: found.verdict for found in drift.comparisons}
    assert verdicts["predictions"] == "retrain"
    assert "labels" not in verdicts


def test_a_folder_without_a_model_is_an_error(reviews: PreparedData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no trained model there; accepted: a folder models/DATASET/MODEL/SEED"):
        features(reviews, tmp_path, reviews.folder.parent / "raw" / "test.parquet")


def test_a_run_that_was_not_evaluated_is_an_error(reviews: PreparedData, tmp_path: Path) -> None:
    save_random_model(reviews, tmp_path / "model")
    with pytest.raises(ValueError, match=r"predictions.parquet is missing\): create it with `python pipelines/eval"):
        features(reviews, tmp_path, reviews.folder.parent / "raw" / "test.parquet")


def test_a_model_of_another_vocabulary_is_an_error(
    reviews: PreparedData, runs: dict[Task, Path], tmp_path: Path
) -> None:
    words = save_random_model(reviews, tmp_path / "model") / "vocabulary.json"
    forget_checksums(words.parent)
    write_json(words, list(reversed(read_json(words))))
    (tmp_path / "predictions.parquet").write_bytes((runs["classification"] / "predictions.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"its model and .* differ in vocabulary"):
        features(reviews, tmp_path, reviews.folder.parent / "raw" / "test.parquet")


def test_a_model_that_knows_more_words_reads_them_in_new_texts(
    reviews: PreparedData, runs: dict[Task, Path], tmp_path: Path
) -> None:
    """The words that pretrained weights add; without them all texts would be alike."""
    joined = reviews.joined(["splendid", "dire"])
    save_random_model(joined, tmp_path / "model")
    evaluate(reviews, tmp_path, EvaluateOptions(batch_size=5, threads=1))
    files = [write(tmp_path / f"{word}.txt", {"text": [word] * 9}) for word in ("splendid", "dire", "zyzzyva")]
    found = [features(reviews, tmp_path, file)["confidence"].summaries[1]["mean"] for file in files]
    assert len(set(found)) == 3
