"""Runs as the train and evaluate stages leave them, on disk and in MLflow, with a given number of errors."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from tests.tiny import save_random_model
from tests.tracking.trained import make_provenance, write_record
from unroll.data.prepared import PreparedData
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.evaluation.runs import read_runs
from unroll.registry.candidate import Candidate
from unroll.tracking.provenance import PROVENANCE
from unroll.tracking.runs import training_run
from unroll.tracking.upload import upload


def write_run(folder: Path, data: PreparedData, score: float, wrong: int, parameters: int = 1000) -> None:
    """Write `folder`, which is models/DATASET/MODEL/SEED, and its MLflow run.

    Args:
        score: on the validation split.
        wrong: number of the first test examples that are predicted wrongly.
    """
    save_random_model(data, folder / "model")
    provenance = make_provenance(data, folder.parts[-3])
    with training_run(provenance, folder / "checkpoints" / "run.json") as run:
        provenance.save(folder / PROVENANCE)
    training: dict[str, Any] = {"epochs": 1, "best_epoch": 1, "training_seconds": 10.0, "size_bytes": 1000}
    monitor = "val/accuracy" if data.task == "classification" else "val/f1"
    write_record(folder, data, run.run_id, monitor=monitor, best_score=score, parameters=parameters, **training)
    pd.DataFrame({"epoch": [1], monitor: [score], "seconds": [10.0]}).to_csv(folder / "history.csv", index=False)
    evaluate(data, folder, EvaluateOptions(batch_size=8, threads=1))
    predictions = pd.read_parquet(folder / "predictions.parquet")
    others = predictions["label"].drop_duplicates().tolist()
    predictions["predicted"] = [
        next(other for other in others if str(other) != str(label)) if row < wrong else label
        for row, label in enumerate(predictions["label"])
    ]
    predictions.to_parquet(folder / "predictions.parquet")
    upload(folder)


def candidate_of(folder: Path, data: PreparedData, models: Sequence[str] | None = None) -> Candidate:
    """The candidate of the runs in `folder`, which is models/DATASET."""
    return Candidate.of(read_runs(folder, models), folder, data.folder.parent / "raw", data)


def named(candidate: Candidate, dataset: str) -> Candidate:
    """The same candidate for a registered model with another name."""
    return replace(candidate, runs=[replace(run, dataset=dataset) for run in candidate.runs])
