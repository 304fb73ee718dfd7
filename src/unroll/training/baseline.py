"""Fits a baseline, and leaves the record of a training of one epoch."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from unroll.baselines import Baseline
from unroll.data.predictions import Prediction, mean_loss
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.training.callbacks import print_epoch, write_history
from unroll.training.metrics import validation_metrics


def fit_baseline(model: Baseline, data: PreparedData, batch_size: int, history: Path) -> None:
    """Fit, score on validation, and write the one row of the history."""
    start = time.perf_counter()
    train, validation = data.split("train"), data.split("validation")
    model.fit(train, validation)
    answers = model.predict(validation, batch_size)
    scores = {
        "train/loss": mean_loss(train, model.predict(train, batch_size)),
        **_scores(validation, answers, data.label_names),
        "val/loss": mean_loss(validation, answers),
    }
    row = {"epoch": 1, **scores, "seconds": round(time.perf_counter() - start, 3)}
    write_history(history, [row])
    print_epoch(row, 1)


def _scores(split: EncodedSplit, answers: Sequence[Prediction], label_names: list[str]) -> dict[str, float]:
    """By the metrics that networks are chosen by."""
    labels = np.split(split.labels, split.offsets[1:-1]) if split.task == "labeling" else split.labels
    metrics = validation_metrics(split.task, label_names)
    for found, gold in zip(answers, labels, strict=True):
        for metric in metrics.values():
            metric.update(torch.tensor(found.labels)[None], torch.tensor(gold)[None])
    return {name: float(metric.compute()) for name, metric in metrics.items()}
