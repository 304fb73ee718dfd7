"""Evaluated runs, as the train and evaluate stages write them to ``models/DATASET/MODEL/SEED``."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unroll.data.prepared import PreparedData
from unroll.data.tokens import TOKEN_TASKS
from unroll.evaluation.example_counts import check_same_examples, example_counts
from unroll.files import read_json
from unroll.run_folder import EVALUATED, RunFolder, RunRecord

REQUIRED = ("run.json", "history.csv", *EVALUATED)


@dataclass(frozen=True, kw_only=True)
class Run(RunRecord):
    """One model trained with one seed and scored on the test split: its record and its evaluation.

    `metrics`, `classes` and `confusion` are those of :class:`unroll.evaluation.scores.Scores`, and the loss.
    """

    tokens_per_second: float  # NaN for a model that does not read the text
    evaluated_on: str | None = None  # the device; None if an earlier version has evaluated it
    metrics: dict[str, float]
    history: pd.DataFrame  # one row per epoch
    classes: pd.DataFrame
    confusion: pd.DataFrame
    predictions: pd.DataFrame  # one row per test example, in the order of the test split

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(N, 3): see :func:`unroll.evaluation.example_counts.example_counts`."""
        return example_counts(self.predictions, self.task)

    def __str__(self) -> str:
        return f"{self.dataset}/{self.model}/{self.seed}"


def read_runs(folder: Path, models: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> list[Run]:
    """Read the evaluated runs in ``models/DATASET``: exactly these models and seeds, or all that are found.

    Raises:
        ValueError: a run or file is missing or damaged, a folder is a copy of another run's, or the runs cannot be
            compared, since they have different test examples or validation metrics.
    """
    if models is None:
        models = sorted({path.parts[-3] for path in folder.glob("*/*/metrics.json")})
    folders = [run for model in models for run in _seed_folders(folder / model, seeds)]
    if not folders:
        raise RunFolder(folder / "MODEL" / "SEED").missing("metrics.json")
    return read_run_folders(folders)


def read_run_folders(folders: Sequence[Path]) -> list[Run]:
    """Read evaluated runs, each from its folder; the errors are those of :func:`read_runs`."""
    runs = [_read_run(path) for path in folders]
    seen: dict[str, Path] = {}
    for folder, run in zip(folders, runs, strict=True):
        if run.run_id in seen:
            raise ValueError(f"{folder} and {seen[run.run_id]} are the same run, {run.run_id}: remove the copy")
        seen[run.run_id] = folder
    first, examples = runs[0], ["row", "length"]
    for run in runs:
        if run.monitor != first.monitor:
            raise ValueError(
                f"{run} was selected by {run.monitor}, {first} by {first.monitor}: models are ranked by one validation "
                "metric"
            )
        if not run.predictions[examples].equals(first.predictions[examples]):
            raise ValueError(
                f"{run} and {first} were scored on different test examples ({len(run.predictions)} and "
                f"{len(first.predictions)}): evaluate both on the same data"
            )
    return runs


def counts_by_model(runs: Sequence[Run], models: Iterable[str]) -> dict[str, NDArray[np.int64]]:
    """(K, N, 3) counts of each model's K runs; ValueError if they were scored on different examples."""
    of_model = {model: [run for run in runs if run.model == model] for model in models}
    check_same_examples({model: [run.predictions for run in own] for model, own in of_model.items()})
    return {model: np.stack([run.counts for run in own]) for model, own in of_model.items()}


def check_scored_on(runs: Sequence[Run], data: PreparedData) -> None:
    """Raise ValueError unless the runs' predictions are those of the test split of `data`, in its order."""
    split, predictions = data.split("test"), runs[0].predictions
    if not (np.array_equal(split.rows, predictions["row"]) and np.array_equal(split.lengths, predictions["length"])):
        raise ValueError(
            f"{runs[0]} was not scored on the {len(split)} test examples of {data.folder}: evaluate it again"
        )


def read_confusion(path: Path) -> pd.DataFrame:
    """Read confusion.csv as the table that :class:`unroll.evaluation.scores.Scores` describes."""
    # all cells as text first: a label may be called "NA", "1" or "gold", which read_csv would interpret
    cells = pd.read_csv(path, header=None, dtype=str, na_filter=False)
    index = pd.Index(list(cells.iloc[1:, 0]), name=cells.iloc[0, 0])
    return pd.DataFrame(cells.iloc[1:, 1:].astype(int).to_numpy(), index=index, columns=list(cells.iloc[0, 1:]))


def _seed_folders(model: Path, seeds: Sequence[int] | None) -> list[Path]:
    """The folders of these seeds, or of all that were evaluated."""
    if seeds is None:
        found = [path.parent for path in model.glob("*/metrics.json")]
        if not found:
            raise RunFolder(model / "SEED").missing("metrics.json")
        for run in found:
            if not run.name.isdecimal():
                raise ValueError(f"{run} is not a run; accepted in {model}: folders that are named by a seed")
        seeds = sorted(int(run.name) for run in found)
    return [model / str(seed) for seed in seeds]


def _read_run(path: Path) -> Run:
    folder = RunFolder(path)
    for name in REQUIRED:
        if not (path / name).is_file():
            raise folder.missing(name)
    record = folder.read_record()
    for key, named in zip(("model", "seed"), path.parts[-2:], strict=True):
        if str(getattr(record, key)) != named:
            raise ValueError(
                f"{path} is not a run of {key} {named}: its run.json is of {key} {getattr(record, key)}; accepted: "
                "models/DATASET/MODEL/SEED, as the train stage names it"
            )
    throughput = folder.read("throughput.json", partial(read_json, keys=["tokens_per_second"]))
    predictions = folder.read("predictions.parquet", pd.read_parquet)
    predictions = predictions.sort_values("row", kind="stable", ignore_index=True)
    return Run(
        **asdict(record),
        tokens_per_second=throughput["tokens_per_second"] if _reads_text(record.task, predictions) else math.nan,
        evaluated_on=throughput.get("device"),
        metrics=folder.read("metrics.json", read_json),
        history=folder.read("history.csv", pd.read_csv),
        # a label may be called "NA"
        classes=folder.read("classes.csv", lambda path: pd.read_csv(path, dtype={"label": str}, na_filter=False)),
        confusion=folder.read("confusion.csv", read_confusion),
        predictions=predictions,
    )


def _reads_text(task: str, predictions: pd.DataFrame) -> bool:
    """False if several texts all have exactly the same probabilities."""
    if task in TOKEN_TASKS or len(predictions) == 1:
        return True
    return bool(np.ptp(np.stack(predictions["probabilities"].tolist()), axis=0).any())
