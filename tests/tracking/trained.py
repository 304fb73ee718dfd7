"""A run folder as the stages leave it, and the provenance of its run."""

from pathlib import Path
from typing import Any

import pandas as pd

from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.run_folder import RunFolder, RunRecord
from unroll.tracking.provenance import Provenance
from unroll.tracking.runs import TrackedRun, get_run, training_run
from unroll.tracking.store import open_store

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train/loss": [0.9, 0.1 + 0.2, 0.1],
        "val/loss": [0.8, 0.5, float("nan")],
        "learning_rate": [0.1, 0.1, 0.1],
        "seconds": [1.5, 3.0, 4.5],
    }
)
FIGURES: dict[str, Any] = {
    "best_score": 0.75,
    "best_epoch": 2,
    "epochs": 3,
    "parameters": 12,
    "training_seconds": 1.5,
    "size_bytes": 99,
}


def make_provenance(
    data: PreparedData, dataset: str = "reviews", config: dict[str, Any] | None = None, **tags: str
) -> Provenance:
    return Provenance.of(dataset, "gru-3", config or {"seed": 3}, data, ["model=gru", "seed=3"], tags)


def write_record(path: Path, data: PreparedData, run_id: str, **changed: Any) -> None:
    """Write run.json of the run folder `path`, which is DATASET/MODEL/SEED."""
    dataset, model, seed = path.parts[-3:]
    monitor = "val/f1" if data.task == "labeling" else "val/accuracy"
    identity = {"dataset": dataset, "task": data.task, "model": model, "seed": int(seed), "run_id": run_id}
    RunFolder(path).write_record(RunRecord(**{**identity, "monitor": monitor, "seeded": True, **FIGURES, **changed}))


def train_pretending(data: PreparedData, path: Path, dataset: str = "reviews") -> Path:
    """Write the files of a training into `path`, which ends in gru/3, with its run open in the store; return `path`."""
    folder = RunFolder(path)
    save_random_model(data, folder.model)
    provenance = make_provenance(data, dataset)
    with training_run(provenance, folder.checkpoints / "run.json") as run:
        provenance.save(folder.provenance)
        HISTORY.to_csv(folder.history, index=False, na_rep="nan")
        write_record(path, data, run.run_id, dataset=dataset)
    return path


def evaluate_tiny(data: PreparedData, path: Path) -> Path:
    evaluate(data, path, EvaluateOptions(batch_size=8, threads=1))
    return path


def run_of(path: Path) -> TrackedRun:
    """The run of a run folder, in the current store."""
    client = open_store()
    return TrackedRun(client, get_run(client, RunFolder(path).read_record().run_id).info.run_id)
