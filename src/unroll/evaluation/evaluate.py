"""The evaluate stage: score a trained model on the test split and measure its speed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from unroll.checks import check_choice, check_least
from unroll.data.predictions import Prediction, mean_loss
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.tokens import TOKEN_TASKS, Task
from unroll.evaluation.scores import (
    Scores,
    classification_scores,
    labeling_scores,
    multilabel_scores,
    tagging_scores,
)
from unroll.files import whole_file, write_json, write_text
from unroll.hardware import DEVICES
from unroll.inference.trained_model import TrainedModel
from unroll.nn.devices import describe
from unroll.run_folder import RunFolder

WARM_UP = 3  # batches that are predicted before the clock starts, since the first one is slower


@dataclass(frozen=True)
class EvaluateOptions:
    """How predictions for the test split are computed; scores do not depend on them.

    Args:
        batch_size, threads: 1 or more.
        device: of a network, one of `DEVICES`; a baseline computes on the CPU.
    """

    batch_size: int
    threads: int
    device: str = "auto"

    def __post_init__(self) -> None:
        check_least(1, batch_size=self.batch_size, threads=self.threads)
        check_choice("device", self.device, DEVICES)


def evaluate(data: PreparedData, run: Path, options: EvaluateOptions) -> dict[str, float]:
    """Score the model of a run folder on the test split; return the metrics.

    Each file of the evaluation is replaced as a whole, metrics.json last.

    Raises:
        ValueError: `run` contains no trained model, or one with other labels or another vocabulary than `data`; or the
            device is not here, or too small.
    """
    torch.set_num_threads(options.threads)
    folder = RunFolder(run)
    trained = TrainedModel.load(folder.model, options.device)
    if trained.schema.label_names != data.label_names:
        raise ValueError(
            f"{folder.model} has labels {trained.schema.label_names}, but {data.folder} has {data.label_names}"
        )
    if changed := trained.schema.differences(data.schema):
        raise ValueError(
            f"{folder.model} was trained on other data than {data.folder} (another {', '.join(changed)}): "
            "train it again"
        )
    split, batch_size = data.joined(trained.schema.vocabulary).split("test"), options.batch_size
    trained.predict(split.head(WARM_UP * batch_size), batch_size)
    start = time.perf_counter()
    predictions = trained.predict(split, batch_size)
    seconds = time.perf_counter() - start

    scores, table = _score(split, predictions, data.label_names)
    metrics = {**scores.metrics, "test/loss": mean_loss(split, predictions)}
    throughput = {"tokens_per_second": len(split.tokens) / seconds, "tokens": len(split.tokens), "seconds": seconds}
    with whole_file(folder.predictions) as temporary:
        pq.write_table(table, temporary)
    write_text(folder.classes, scores.classes.to_csv(index=False, lineterminator="\n"))
    write_text(folder.confusion, scores.confusion.to_csv(lineterminator="\n"))
    write_json(folder.throughput, throughput | {"batch_size": batch_size, "device": describe(trained.device)})
    write_json(folder.metrics, metrics)
    return metrics


def _score(split: EncodedSplit, predictions: Sequence[Prediction], names: list[str]) -> tuple[Scores, pa.Table]:
    """The scores, and a table with the names of the gold and predicted labels of each sequence.

    The probabilities to store are those of all labels, for labels of tokens that of each predicted tag.
    """
    gold_rows = split.tags if split.task in TOKEN_TASKS else split.labels
    gold = [_label_names(row, names, split.task) for row in gold_rows]
    predicted = [_label_names(prediction.labels, names, split.task) for prediction in predictions]
    probabilities = [prediction.probabilities for prediction in predictions]
    if split.task in TOKEN_TASKS:
        probabilities = [np.take_along_axis(it.probabilities, it.labels[:, None], axis=1)[:, 0] for it in predictions]
        score_tags = labeling_scores if split.task == "labeling" else tagging_scores
        scores = score_tags(gold, predicted, probabilities, names)
    else:
        score = classification_scores if split.task == "classification" else multilabel_scores
        scores = score(split.labels, np.array(probabilities), names)
    labels = pa.string() if split.task == "classification" else pa.list_(pa.string())
    columns = {
        "row": pa.array(split.rows),
        "length": pa.array(split.lengths),
        "label": pa.array(gold, labels),
        "predicted": pa.array(predicted, labels),
        "probabilities": pa.array([row.astype(np.float32) for row in probabilities], pa.list_(pa.float32())),
    }
    return scores, pa.table(columns)


def _label_names(labels: np.ndarray, names: list[str], task: Task) -> Any:
    """The name of a text's label, or a list of names: of the text's labels, or of the tags of its tokens."""
    if task == "classification":
        return names[labels]
    return [names[i] for i in (np.flatnonzero(labels) if task == "multilabel" else labels)]
