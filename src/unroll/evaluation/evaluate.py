"""The evaluate stage: a trained model and the test split in; scores, predictions and speed out."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from unroll.data.predictions import Prediction, mean_loss
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.evaluation.classification import classification_scores
from unroll.evaluation.labeling import labeling_scores
from unroll.evaluation.multilabel import multilabel_scores
from unroll.evaluation.scores import Scores
from unroll.files import write_json
from unroll.inference.trained_model import TrainedModel

WARM_UP = 3  # batches that are read before the clock starts: the first one pays for what all use


@dataclass(frozen=True)
class EvaluateOptions:
    """How the test split is read; no score depends on it."""

    batch_size: int
    threads: int

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; accepted: 1 or more")


def evaluate(data: PreparedData, run: Path, options: EvaluateOptions) -> dict[str, float]:
    """Score `run`/model on the test split; return the metrics.

    Writes into `run`: metrics.json, classes.csv, confusion.csv, predictions.parquet, throughput.json.

    Raises:
        ValueError: there is no trained model in `run`, or one for other labels or another vocabulary than the data's.
    """
    torch.set_num_threads(options.threads)
    trained = TrainedModel.load(run / "model")
    if trained.schema.label_names != data.label_names:
        raise ValueError(
            f"{run}/model has labels {trained.schema.label_names}, but {data.folder} has {data.label_names}"
        )
    if changed := trained.schema.differences(data.schema):
        raise ValueError(
            f"{run}/model was trained on other data than {data.folder} (another {', '.join(changed)}): train it again"
        )
    split = data.split("test")
    trained.predict(split.head(WARM_UP * options.batch_size), options.batch_size)
    start = time.perf_counter()
    answers = trained.predict(split, options.batch_size)
    seconds = time.perf_counter() - start

    scores, predictions = _score(split, answers, data.label_names)
    scores.metrics["test/loss"] = mean_loss(split, answers)
    pq.write_table(predictions, run / "predictions.parquet")
    scores.classes.to_csv(run / "classes.csv", index=False, lineterminator="\n")
    scores.confusion.to_csv(run / "confusion.csv", lineterminator="\n")
    write_json(run / "throughput.json", _throughput(split, seconds, options.batch_size))
    write_json(run / "metrics.json", scores.metrics)
    return scores.metrics


def _score(split: EncodedSplit, answers: list[Prediction], names: list[str]) -> tuple[Scores, pa.Table]:
    """Scores, and the predictions: a row a sequence with its gold and predicted labels."""
    judge = {"classification": _score_classes, "labeling": _score_tags, "multilabel": _score_label_sets}[split.task]
    judged = judge(split, answers, names)
    kind = pa.string() if split.task == "classification" else pa.list_(pa.string())
    columns = {
        "row": pa.array(split.rows),
        "length": pa.array(split.lengths),
        "label": pa.array(judged.gold, kind),
        "predicted": pa.array(judged.predicted, kind),
        "probabilities": pa.array([row.astype(np.float32) for row in judged.shown], pa.list_(pa.float32())),
    }
    return judged.scores, pa.table(columns)


class _Judged(NamedTuple):
    """Scores, and of every sequence its label names, gold and predicted, and the probabilities to show."""

    scores: Scores
    gold: list[Any]  # names, or lists of names
    predicted: list[Any]
    shown: list[np.ndarray]


def _score_classes(split: EncodedSplit, answers: list[Prediction], names: list[str]) -> _Judged:
    shown = [found.probabilities for found in answers]
    scores = classification_scores(np.array(split.labels), np.array(shown), names)
    return _Judged(scores, [names[i] for i in split.labels], [names[found.labels] for found in answers], shown)


def _score_label_sets(split: EncodedSplit, answers: list[Prediction], names: list[str]) -> _Judged:
    shown = [found.probabilities for found in answers]
    gold = [[names[i] for i in np.flatnonzero(row)] for row in split.labels]
    predicted = [[names[i] for i in np.flatnonzero(found.labels)] for found in answers]
    return _Judged(multilabel_scores(split.labels, np.array(shown), names), gold, predicted, shown)


def _score_tags(split: EncodedSplit, answers: list[Prediction], names: list[str]) -> _Judged:
    """What is shown of a token is its predicted label's probability."""
    gold = [[names[i] for i in split.labels[a:b]] for a, b in zip(split.offsets, split.offsets[1:], strict=False)]
    predicted = [[names[i] for i in found.labels] for found in answers]
    shown = [np.take_along_axis(found.probabilities, found.labels[:, None], axis=1)[:, 0] for found in answers]
    return _Judged(labeling_scores(gold, predicted, shown, names), gold, predicted, shown)


def _throughput(split: EncodedSplit, seconds: float, batch_size: int) -> dict[str, float]:
    tokens = len(split.tokens)
    return {
        "tokens_per_second": tokens / seconds,
        "tokens": tokens,
        "seconds": seconds,
        "batch_size": batch_size,
    }
