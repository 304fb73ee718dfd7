"""The train stage: prepared data in, the best model by validation score out."""

import csv
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger

from unroll.baselines import Baseline
from unroll.data.batches import SequentialBatches, ShuffledBatches
from unroll.data.prepared import PreparedData
from unroll.exceptions import Pruned
from unroll.files import read_json, write_json
from unroll.inference.model_folder import ModelFolder, build_model
from unroll.inference.predict import Model
from unroll.locks import RUN_LOCK
from unroll.nn import SequenceModel
from unroll.training.baseline import fit_baseline
from unroll.training.callbacks import History, ProcessState, ResumableEarlyStopping, ResumePoint
from unroll.training.metrics import validation_metrics
from unroll.training.module import SequenceTask, quiet_lightning
from unroll.training.options import TrainOptions
from unroll.training.pretrained import start_from_vectors


def train(
    data: PreparedData,
    parts: dict[str, Any],
    options: TrainOptions,
    output: Path,
    logger: Logger | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Train a network or fit a baseline, and write `output`/model and history.csv; return the figures of the training.

    Interrupted at any moment, the same call goes on from `output`/checkpoints and ends with the weights that an
    unbroken run would have; those checkpoints stay until `discard_checkpoints`.

    Args:
        parts: what to build, as Hydra `_target_` dictionaries: `model`, `optimizer`, `scheduler`, `trainer`.
        callbacks: of Lightning, next to those that every training has.

    Raises:
        ValueError: a part does not fit this machine, or its values are refused where it is built.
    """
    quiet_lightning()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # for the processes that ddp starts
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    open_checkpoints(output, data, parts, options)
    model = build_model(parts["model"], data.schema)
    if isinstance(model, Baseline):
        fit_baseline(model, data, options.batch_size, output / "history.csv")
    else:
        _fit_network(model, data, parts, options, output, logger, callbacks)
    ModelFolder(model, data.schema).save(output / "model", parts["model"])
    return _summarise(output, model, list(validation_metrics(data.task, data.label_names))[-1])


def _fit_network(
    model: SequenceModel,
    data: PreparedData,
    parts: dict[str, Any],
    options: TrainOptions,
    output: Path,
    logger: Logger | None,
    callbacks: Sequence[Callback],
) -> None:
    """Train the network by gradient descent; it has the weights of its best epoch afterwards."""
    checkpoints = output / "checkpoints"
    if options.vectors is not None:
        start_from_vectors(model, data.schema.vocabulary, data.schema.tokenizer.word, Path(options.vectors))
    elif file := data.description.get("vectors"):
        raise ValueError(
            f"{data.folder} was prepared with the words of {file}, and without vectors={file} those would stay random; "
            "accepted: that option here, or none in the prepare stage"
        )
    limits = (options.batch_size, options.batch_tokens, model.reads_characters)
    task = SequenceTask(
        model,
        data,
        ShuffledBatches(data.split("train"), options.seed, *limits),
        SequentialBatches(data.split("validation"), *limits),
        instantiate(parts["optimizer"]),
        instantiate(parts["scheduler"]),
    )
    history = History(output / "history.csv")
    own_callbacks = [
        ProcessState(options.seed, task.train_loss),
        ResumableEarlyStopping(task.monitor, mode="max", patience=options.patience),
        history,
        ModelCheckpoint(
            checkpoints,
            filename="best",
            monitor=task.monitor,
            mode="max",
            save_weights_only=True,
            enable_version_counter=False,
        ),
        ResumePoint(checkpoints / "last.ckpt", options.checkpoint_steps),
    ]
    resumable = is_interrupted(output)
    if resumable:
        print(f"{output}: going on from the last checkpoint", flush=True)
    trainer = _build_trainer(parts["trainer"], [*own_callbacks, *callbacks], logger)
    try:
        trainer.fit(task, ckpt_path=str(checkpoints / "last.ckpt") if resumable else None, weights_only=True)
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning makes an ordinary exit of Ctrl-C
            raise end.__context__ from None
        raise

    state = torch.load(checkpoints / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")})


def open_checkpoints(output: Path, data: PreparedData, parts: dict[str, Any], options: TrainOptions) -> Path:
    """The folder `output`/checkpoints; emptied where it is of another configuration or of other data."""
    identity = {"parts": parts, "options": vars(options), "data": data.checksum}
    folder = output / "checkpoints"
    record = folder / "identity.json"
    others = [file for file in folder.glob("*") if file.name != RUN_LOCK]
    if others and not (record.exists() and read_json(record) == identity):
        print(f"{output}: an interrupted run of another configuration or other data is discarded", flush=True)
        for file in others:
            if file.is_dir():
                shutil.rmtree(file)
            else:
                file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(record, identity)
    return folder


def is_interrupted(output: Path) -> bool:
    """Whether there is a training in `output`/checkpoints to go on with."""
    return (output / "checkpoints" / "last.ckpt").exists()


@contextmanager
def abandoned_without_checkpoint(output: Path) -> Iterator[None]:
    """Leave nothing in `output`/checkpoints when the block ends early with nothing to go on from, or no need to."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Pruned) or not is_interrupted(output):
            discard_checkpoints(output)
        raise


def discard_checkpoints(output: Path) -> None:
    """Drop what only a resumed training would need."""
    shutil.rmtree(output / "checkpoints", ignore_errors=True)


def _build_trainer(config: dict[str, Any], callbacks: list[Callback], logger: Logger | None) -> Trainer:
    for key in ("val_check_interval", "check_val_every_n_epoch"):
        if key in config:
            raise ValueError(f"trainer.{key}={config[key]}; accepted: no such key, an epoch ends with its validation")
    try:
        trainer: Trainer = instantiate(
            config,
            callbacks=callbacks,
            logger=logger or False,
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # the batches share themselves out
        )
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, MisconfigurationException | ValueError | TypeError):
            raise ValueError(
                f"trainer: {cause}; trainer.accelerator={config.get('accelerator')!r}, "
                f"trainer.devices={config.get('devices')!r}; trainer=cpu works everywhere"
            ) from error
        raise
    return trainer


def _summarise(output: Path, model: Model, monitor: str) -> dict[str, Any]:
    with (output / "history.csv").open(newline="") as stream:
        epochs = list(csv.DictReader(stream))
    best = max(epochs, key=lambda epoch: float(epoch[monitor]))
    return {
        "monitor": monitor,
        "best_score": float(best[monitor]),
        "best_epoch": int(best["epoch"]),
        "epochs": len(epochs),
        "training_seconds": float(epochs[-1]["seconds"]),
        "parameters": model.num_parameters,
        "seeded": not isinstance(model, Baseline),
        "size_bytes": sum(file.stat().st_size for file in (output / "model").iterdir()),
    }
