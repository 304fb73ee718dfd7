"""A run folder as the stages leave it, and what its run is opened with."""

from pathlib import Path
from typing import Any

import pandas as pd

from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.files import read_json, write_json
from unroll.tracking.provenance import FOLDER, Origin
from unroll.tracking.runs import TrackedRun, find_run, training_run

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train/loss": [0.9, 0.1 + 0.2, 0.1],
        "val/loss": [0.8, 0.5, float("nan")],
        "learning_rate": [0.1, 0.1, 0.1],
        "seconds": [1.5, 3.0, 4.5],
    }
)
FIGURES = {"best_score": 0.75, "best_epoch": 2, "epochs": 3, "parameters": 12}


def make_origin(
    data: PreparedData, dataset: str = "reviews", config: dict[str, Any] | None = None, **tags: str
) -> Origin:
    return Origin.of(dataset, "gru-3", config or {"seed": 3}, data, ["model=gru", "seed=3"], tags)


def train_pretending(data: PreparedData, folder: Path, dataset: str = "reviews") -> Path:
    """What a training leaves in `folder`, with its run open in the store; return `folder`."""
    save_random_model(data, folder / "model")
    origin = make_origin(data, dataset)
    with training_run(origin, folder / "checkpoints" / "run.json") as run:
        origin.save(folder / FOLDER)
        HISTORY.to_csv(folder / "history.csv", index=False, na_rep="nan")
        identity = {"dataset": dataset, "task": data.task, "model": "gru", "seed": 3, "run_id": run.run_id}
        write_json(folder / "run.json", {**identity, "monitor": "val/accuracy", **FIGURES})
    return folder


def evaluate_tiny(data: PreparedData, folder: Path) -> Path:
    evaluate(data, folder, EvaluateOptions(batch_size=8, threads=1))
    return folder


def run_of(folder: Path) -> TrackedRun:
    """The run of a run folder, in the store at hand."""
    return find_run(read_json(folder / "run.json")["run_id"])
