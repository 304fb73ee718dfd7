"""Evaluated runs, as the train and evaluate stages leave them in ``models/DATASET/MODEL/SEED``."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unroll.data.prepared import PreparedData
from unroll.evaluation.example_counts import example_counts
from unroll.files import read_json

T = TypeVar("T")
RECORD_KEYS = (
    "dataset",
    "task",
    "model",
    "seed",
    "run_id",
    "parameters",
    "training_seconds",
    "epochs",
    "best_epoch",
    "monitor",
    "best_score",
    "size_bytes",
    "seeded",
)
TRAINED = ("run.json", "history.csv")  # what the train stage leaves
EVALUATED = ("metrics.json", "classes.csv", "confusion.csv", "throughput.json", "predictions.parquet")


@dataclass(frozen=True)
class Run:
    """One model trained with one seed and scored on the test split.

    monitor: the validation metric that chose the epoch. best_score: its best value, in 0..1.
    size_bytes: of the model folder. seeded: whether another seed would give another model.
    tokens_per_second: NaN for a model that reads no text.
    metrics: test metric to value. history: one row an epoch. classes, confusion: see
    :class:`unroll.evaluation.scores.Scores`. predictions: one row a test example.
    """

    dataset: str
    task: str
    model: str
    seed: int
    run_id: str
    parameters: int
    training_seconds: float
    epochs: int
    best_epoch: int
    monitor: str
    best_score: float
    size_bytes: int
    seeded: bool
    tokens_per_second: float
    metrics: dict[str, float]
    history: pd.DataFrame
    classes: pd.DataFrame
    confusion: pd.DataFrame
    predictions: pd.DataFrame

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(N, 3): see :func:`unroll.evaluation.example_counts.example_counts`."""
        return example_counts(self.predictions, self.task)


def read_runs(folder: Path, models: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> list[Run]:
    """Read the runs of one dataset.

    folder: ``models/DATASET``. models, seeds: exactly these, in this order; None takes every evaluated one.

    Raises ValueError for a missing run, for no run at all, for a file that is damaged, for a folder that is a copy of
    another run's, and for runs that cannot be compared because they were scored on other test examples or chosen by
    another validation metric.
    """
    folders = _run_folders(folder, models, seeds)
    if not folders:
        raise _missing(folder / "MODEL" / "SEED", "metrics.json")
    return read_run_folders(folders)


def read_run_folders(folders: Sequence[Path]) -> list[Run]:
    """Read evaluated runs, each from its folder; the errors are those of :func:`read_runs`."""
    runs = [_read_run(path) for path in folders]
    _check_distinct(folders, runs)
    for run in runs[1:]:
        _check_comparable(runs[0], run)
    return runs


def _run_folders(folder: Path, models: Sequence[str] | None, seeds: Sequence[int] | None) -> list[Path]:
    if models is None:
        models = sorted({path.parts[-3] for path in folder.glob("*/*/metrics.json")})
    folders = []
    for model in models:
        chosen = seeds
        if chosen is None:
            chosen = sorted(_seed(path.parent) for path in (folder / model).glob("*/metrics.json"))
            if not chosen:
                raise _missing(folder / model / "SEED", "metrics.json")
        folders += [folder / model / str(seed) for seed in chosen]
    return folders


def _seed(folder: Path) -> int:
    if not folder.name.isdecimal():
        raise ValueError(f"{folder} is no run: accepted in {folder.parent} are folders whose names are seeds")
    return int(folder.name)


def _read_run(folder: Path) -> Run:
    for name in (*TRAINED, *EVALUATED):
        if not (folder / name).is_file():
            raise _missing(folder, name)
    record = _read(folder / "run.json", partial(read_json, keys=RECORD_KEYS))
    for key, named in zip(("model", "seed"), folder.parts[-2:], strict=True):
        if str(record[key]) != named:
            raise ValueError(
                f"{folder} is not a run of {key} {named}: its run.json is of {key} {record[key]}; "
                "accepted: models/DATASET/MODEL/SEED, as the train stage names it"
            )
    throughput = _read(folder / "throughput.json", partial(read_json, keys=["tokens_per_second"]))
    predictions = _read(folder / "predictions.parquet", pd.read_parquet).sort_values(
        "row", kind="stable", ignore_index=True
    )
    return Run(
        **{key: record[key] for key in RECORD_KEYS},
        tokens_per_second=throughput["tokens_per_second"] if _reads_text(record["task"], predictions) else math.nan,
        metrics=_read(folder / "metrics.json", read_json),
        history=_read(folder / "history.csv", pd.read_csv),
        classes=_read(folder / "classes.csv", _read_classes),
        confusion=_read(folder / "confusion.csv", read_confusion),
        predictions=predictions,
    )


def _read(path: Path, reader: Callable[[Path], T]) -> T:
    """What `reader` makes of a file of a run; where it cannot, the error names the command that writes it anew."""
    try:
        return reader(path)
    except (ValueError, LookupError, OSError) as error:
        said = str(error).removeprefix(f"{path} is damaged: ")
        command = _commands(path.parent, path.name)
        raise ValueError(f"{path} is damaged ({said}): make it again with {command}") from error


def _reads_text(task: str, predictions: pd.DataFrame) -> bool:
    """False where all texts, if they are several, have one and the same answer to the last digit of its probability."""
    if task == "labeling" or len(predictions) == 1:
        return True
    return bool(np.ptp(np.stack(predictions["probabilities"].tolist()), axis=0).any())


def _read_classes(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"label": str}, na_filter=False)  # a label may be called "NA"


def read_confusion(path: Path) -> pd.DataFrame:
    """The table as :class:`unroll.evaluation.scores.Scores` describes it."""
    # all cells as text first: a label may be called "NA", "1" or "gold", which read_csv would reinterpret
    cells = pd.read_csv(path, header=None, dtype=str, na_filter=False)
    index = pd.Index(list(cells.iloc[1:, 0]), name=cells.iloc[0, 0])
    return pd.DataFrame(cells.iloc[1:, 1:].astype(int).to_numpy(), index=index, columns=list(cells.iloc[0, 1:]))


def _missing(folder: Path, name: str) -> ValueError:
    return ValueError(f"no evaluated run in {folder} ({name} is missing): make it with {_commands(folder, name)}")


def _commands(folder: Path, name: str) -> str:
    """What writes a file of a run; `folder` may have MODEL and SEED for any."""
    dataset, model, seed = folder.parts[-3:]
    models = folder.parent.parent.glob(f"{model}/{seed}/model".replace("MODEL", "*").replace("SEED", "*"))
    stages = ["evaluate"] if name in EVALUATED and any(models) else ["train", "evaluate"]
    return " and ".join(f"`python pipelines/{it}.py dataset={dataset} model={model} seed={seed}`" for it in stages)


def _check_distinct(folders: Sequence[Path], runs: Sequence[Run]) -> None:
    """A copied folder is no further run."""
    first: dict[str, Path] = {}
    for folder, run in zip(folders, runs, strict=True):
        if run.run_id in first:
            raise ValueError(f"{folder} and {first[run.run_id]} are one run, {run.run_id}: remove the copy")
        first[run.run_id] = folder


def _check_comparable(first: Run, other: Run) -> None:
    if other.monitor != first.monitor:
        raise ValueError(
            f"{_name(other)} was chosen by {other.monitor}, {_name(first)} by {first.monitor}: "
            "models are ranked by one validation metric"
        )
    columns = ["row", "length"]
    if not other.predictions[columns].equals(first.predictions[columns]):
        raise ValueError(
            f"{_name(other)} and {_name(first)} were scored on different test examples "
            f"({len(other.predictions)} and {len(first.predictions)}): evaluate both on the same data"
        )


def check_scored_on(runs: Sequence[Run], data: PreparedData) -> None:
    """Raise ValueError unless the runs' predictions are of the test split of `data`, in its order."""
    split, predictions = data.split("test"), runs[0].predictions
    if not (np.array_equal(split.rows, predictions["row"]) and np.array_equal(split.lengths, predictions["length"])):
        raise ValueError(
            f"{_name(runs[0])} was not scored on the {len(split)} test examples of {data.folder}: evaluate it again"
        )


def _name(run: Run) -> str:
    return f"{run.dataset}/{run.model}/{run.seed}"
