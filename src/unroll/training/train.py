"""Train one model with one seed: prepared data in, the model with the best validation score out."""

import os
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unroll.baselines import Baseline
from unroll.cluster import Cluster
from unroll.data.predictions import Prediction, mean_loss
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.tokens import TOKEN_TASKS
from unroll.inference.building import Model, build_model
from unroll.inference.trained_model import TrainedModel
from unroll.run_folder import RunFolder
from unroll.training.checkpoints import open_checkpoints
from unroll.training.history import print_epoch, summarise_history, write_history
from unroll.training.metrics import validation_metrics
from unroll.training.options import TrainOptions, is_baseline

if TYPE_CHECKING:
    from pytorch_lightning import Callback
    from pytorch_lightning.loggers import Logger

    from unroll.training.meeting import Meeting

REPETITIONS = 3  # of a measured prediction


def train(
    data: PreparedData,
    parts: dict[str, Any],
    options: TrainOptions,
    output: Path,
    logger: "Logger | None" = None,
    callbacks: "Sequence[Callback]" = (),
    meeting: "Meeting | None" = None,
) -> dict[str, Any]:
    """Train a network or fit a baseline; write the model and ``history.csv`` into the run folder `output`.

    If the process is killed at any moment, the same call resumes from the last checkpoint and produces the same weights
    as an uninterrupted training. The checkpoints remain until `discard_checkpoints` is called. Returns the entries of
    ``run.json`` that describe the training.

    Args:
        parts: what to build, as Hydra ``_target_`` dictionaries: `model`, `optimizer`, `scheduler` and `trainer`; and
            the options of `FineTuning`, `finetune`, without which everything is trained alike. A baseline uses the
            model only, and is fitted without importing Lightning.
        logger: a Lightning logger of the scores of each epoch; networks only.
        callbacks: Lightning callbacks, in addition to those of every training; networks only.
        meeting: of the processes of a cluster, of which this is the first; the others call `take_part`.

    Raises:
        ValueError: a part does not accept a value, or the trainer needs an accelerator that is missing.
    """
    if meeting is None and Cluster.here() is not None:
        raise ValueError("several processes would train apart; accepted: python pipelines/train.py as their command")
    _set_up(options)
    data.warn_of_one_label()
    data, model = _begin(data, parts, options, is_said=True)
    if not isinstance(model, Baseline):
        from unroll.training.processes import spread

        parts = {**parts, "trainer": spread(parts["trainer"])}  # checkpoints are of as many processes
    open_checkpoints(output, data, parts, options)
    run, figures = RunFolder(output), dict[str, Any]()
    if isinstance(model, Baseline):
        _fit_baseline(model, data, options.batch_size, run.history)
        figures["device"] = "cpu"
    else:
        from unroll.training.network import fit_network

        figures = fit_network(model, data, parts, options, run, logger, callbacks, meeting)
    TrainedModel(model, data.schema, parts["model"]).save(run.model)
    return {
        **summarise_history(run.history, list(validation_metrics(data.task, data.label_names))[-1]),
        "parameters": model.num_parameters,
        "seeded": not isinstance(model, Baseline),
        "size_bytes": sum(file.stat().st_size for file in run.model.iterdir()),
        **figures,
    }


def take_part(
    data: PreparedData,
    parts: dict[str, Any],
    options: TrainOptions,
    output: Path,
    callbacks: "Sequence[Callback]",
    meeting: "Meeting",
) -> None:
    """Compute this process's share of a training in a cluster, of which the first process calls `train`."""
    _set_up(options)
    data, model = _begin(data, parts, options)
    if not isinstance(model, Baseline):
        from unroll.training.network import fit_network

        with redirect_stdout(None):
            fit_network(model, data, parts, options, RunFolder(output), None, callbacks, meeting)


def microseconds_per_token(folder: Path, data: PreparedData, batch_size: int) -> float:
    """Measure prediction on the validation split in one thread: the shortest of three times, divided by the tokens."""
    torch.set_num_threads(1)
    trained = TrainedModel.load(folder)
    split = data.joined(trained.schema.vocabulary).split("validation")
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        trained.predict(split, batch_size)
        seconds.append(time.perf_counter() - start)
    return 1e6 * min(seconds) / len(split.tokens)


def _set_up(options: TrainOptions) -> None:
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # for processes that ddp starts
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)


def _begin(
    data: PreparedData, parts: dict[str, Any], options: TrainOptions, is_said: bool = False
) -> tuple[PreparedData, Model]:
    """The model before its training, and the data with the words that it knows."""
    if options.pretrained is None or is_baseline(parts):
        return data, build_model(parts["model"], data.schema)
    from unroll.training.transfer import Transfer

    transfer = Transfer.of(options.pretrained, parts["model"], data)
    if is_said:
        transfer.report()
    return transfer.data, transfer.build()


def _fit_baseline(model: Baseline, data: PreparedData, batch_size: int, history: Path) -> None:
    """Fit the baseline, and write and print a history of one epoch."""
    start = time.perf_counter()
    train_split, validation = data.split("train"), data.split("validation")
    model.fit(train_split, validation)
    predictions = model.predict(validation, batch_size)
    row = {
        "epoch": 1,
        "train/loss": mean_loss(train_split, model.predict(train_split, batch_size)),
        **_scores(validation, predictions, data.label_names),
        "val/loss": mean_loss(validation, predictions),
        "seconds": round(time.perf_counter() - start, 3),
    }
    write_history(history, [row])
    print_epoch(row, 1)


def _scores(split: EncodedSplit, predictions: Sequence[Prediction], label_names: list[str]) -> dict[str, float]:
    """The scores that the best epoch of a network is chosen by."""
    labels = split.tags if split.task in TOKEN_TASKS else split.labels
    metrics = validation_metrics(split.task, label_names)
    for prediction, gold in zip(predictions, labels, strict=True):
        for metric in metrics.values():
            metric.update(torch.tensor(prediction.labels)[None], torch.tensor(gold)[None])
    return {name: float(metric.compute()) for name, metric in metrics.items()}
