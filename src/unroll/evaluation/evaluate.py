"""The evaluate stage: score a trained model on the test split and measure its speed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from unroll.data.predictions import Prediction, mean_loss
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.tokens import Task
from unroll.evaluation.classification import score_texts
from unroll.evaluation.labeling import score_tags
from unroll.evaluation.multilabel import score_label_sets
from unroll.evaluation.scores import ScoredPredictions
from unroll.files import whole_file, write_json, write_text
from unroll.inference.trained_model import TrainedModel
from unroll.run_folder import RunFolder

WARM_UP = 3  # batches that are predicted before the clock starts, since the first one is slower
SCORERS: dict[Task, Callable[[EncodedSplit, Sequence[Prediction], list[str]], ScoredPredictions]] = {
    "classification": score_texts,
    "labeling": score_tags,
    "multilabel": score_label_sets,
}


@dataclass(frozen=True)
class EvaluateOptions:
    """How predictions for the test split are computed; scores do not depend on them. Both are 1 or more."""

    batch_size: int
    threads: int

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; accepted: 1 or more")


def evaluate(data: PreparedData, run: Path, options: EvaluateOptions) -> dict[str, float]:
    """Score the model of a run folder on the test split; return the metrics.

    Writes metrics.json, classes.csv, confusion.csv, predictions.parquet and throughput.json into `run`; each file is
    replaced as a whole, metrics.json last.

    Raises:
        ValueError: `run` contains no trained model, or one with other labels or another vocabulary than `data`.
    """
    torch.set_num_threads(options.threads)
    folder = RunFolder(run)
    trained = TrainedModel.load(folder.model)
    if trained.schema.label_names != data.label_names:
        raise ValueError(
            f"{folder.model} has labels {trained.schema.label_names}, but {data.folder} has {data.label_names}"
        )
    if changed := trained.schema.differences(data.schema):
        raise ValueError(
            f"{folder.model} was trained on other data than {data.folder} (another {', '.join(changed)}): "
            "train it again"
        )
    split, batch_size = data.split("test"), options.batch_size
    trained.predict(split.head(WARM_UP * batch_size), batch_size)
    start = time.perf_counter()
    predictions = trained.predict(split, batch_size)
    seconds = time.perf_counter() - start

    scored = SCORERS[split.task](split, predictions, data.label_names)
    metrics = {**scored.scores.metrics, "test/loss": mean_loss(split, predictions)}
    throughput = {"tokens_per_second": len(split.tokens) / seconds, "tokens": len(split.tokens), "seconds": seconds}
    with whole_file(folder.predictions) as temporary:
        pq.write_table(_prediction_table(split, scored), temporary)
    write_text(folder.classes, scored.scores.classes.to_csv(index=False, lineterminator="\n"))
    write_text(folder.confusion, scored.scores.confusion.to_csv(lineterminator="\n"))
    write_json(folder.throughput, throughput | {"batch_size": batch_size})
    write_json(folder.metrics, metrics)
    return metrics


def _prediction_table(split: EncodedSplit, scored: ScoredPredictions) -> pa.Table:
    """One row per sequence, with its gold and predicted labels."""
    labels = pa.string() if split.task == "classification" else pa.list_(pa.string())
    probabilities = [row.astype(np.float32) for row in scored.probabilities]
    columns = {
        "row": pa.array(split.rows),
        "length": pa.array(split.lengths),
        "label": pa.array(scored.gold, labels),
        "predicted": pa.array(scored.predicted, labels),
        "probabilities": pa.array(probabilities, pa.list_(pa.float32())),
    }
    return pa.table(columns)
