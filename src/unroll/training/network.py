"""Train a network by gradient descent, with Lightning."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger

from unroll.data.batches import SequentialBatches, ShuffledBatches
from unroll.data.prepared import PreparedData
from unroll.data.schema import DataSchema
from unroll.data.vectors.cache import vectors_of
from unroll.data.vectors.files import find_vectors
from unroll.nn import SequenceModel
from unroll.nn.devices import lacks_memory, too_large
from unroll.run_folder import RunFolder
from unroll.training.callbacks import (
    History,
    LastBatch,
    LastStep,
    OwnSignals,
    ProcessState,
    ResumableEarlyStopping,
    ResumePoint,
)
from unroll.training.checkpoints import BEST, LAST, is_intact, set_aside
from unroll.training.finetuning import FineTuning
from unroll.training.meeting import Meeting
from unroll.training.module import SequenceTask
from unroll.training.options import TrainOptions
from unroll.training.placing import able, placed, record_device
from unroll.training.processes import spread
from unroll.training.trainer import build_trainer


def fit_network(
    model: SequenceModel,
    data: PreparedData,
    parts: dict[str, Any],
    options: TrainOptions,
    run: RunFolder,
    logger: Logger | None,
    callbacks: Sequence[Callback],
    meeting: Meeting | None = None,
) -> dict[str, Any]:
    """Train the network, resuming from the checkpoints of the run if there are any; the arguments are those of `train`.

    Afterwards the network has the weights of the epoch with the best validation score; in a cluster, that of the first
    process only.

    Returns:
        The entries of ``run.json`` on the device and how the batches were divided.
    """
    if options.vectors is not None:
        start_from_vectors(model, data.schema, options.vectors)
    elif file := data.description.get("vectors"):
        raise ValueError(
            f"{data.folder} was prepared with the words of {file}, whose embeddings would be random without "
            f"vectors={file}; accepted: that option here, or vectors=null in the prepare stage"
        )
    finetuning = FineTuning.of(parts.get("finetune"), options)
    if options.pretrained is not None or options.vectors is not None:
        finetuning.freeze(model, data.split("train"))
    max_steps, accumulated = (parts["trainer"].get(*it) for it in (("max_steps", -1), ("accumulate_grad_batches", 1)))
    limits = (options.batch_size, options.batch_tokens, model.reads_characters)
    batches = ShuffledBatches(
        data.split("train"), options.seed, *limits, parts["trainer"].get("limit_train_batches"), accumulated
    )
    asked = parts["trainer"].get("accelerator", "auto")
    placing = able(placed(spread(parts["trainer"])), asked, model, batches)
    task = SequenceTask(
        model,
        data,
        batches,
        SequentialBatches(data.split("validation"), *limits, parts["trainer"].get("limit_val_batches")),
        instantiate(parts["optimizer"]),
        instantiate(parts["scheduler"]),
        max_steps,
        options.matmul_precision,
        finetuning,
    )
    last, best = run.checkpoints / LAST, run.checkpoints / BEST
    own_callbacks = [
        last_batch := LastBatch(),
        ProcessState(options.seed, task.train_loss),
        ResumableEarlyStopping(task.monitor, mode="max", patience=options.patience),
        LastStep(max_steps),
        History(run.history),
        ModelCheckpoint(
            best.parent, best.stem, task.monitor, mode="max", save_weights_only=True, enable_version_counter=False
        ),
        ResumePoint(last, options.checkpoint_steps),
        OwnSignals(),
    ]
    trainer = build_trainer(placing, [*own_callbacks, *callbacks], logger, meeting)
    processes, each_step = trainer.world_size, trainer.world_size * accumulated
    if each_step > 1:
        print(
            f"{run.path}: {processes} processes; each step of the optimizer takes {each_step} batches, up to "
            f"{each_step * options.batch_size} sequences; the learning rate is not scaled",
            flush=True,
        )
    is_resumed = last.exists() if meeting is None else meeting.begin(last)
    if is_resumed:
        print(f"{run.path}: resuming from the last checkpoint", flush=True)
    device = record_device(trainer, run.checkpoints, is_resumed, placing.get("strategy") != "ddp_fork")
    try:
        run_trainer(trainer, task, last if is_resumed else None)
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise too_large(
            last_batch.shape, device.rpartition(", then ")[2], _smaller(last_batch.shape, options)
        ) from error
    figures = {"device": device, "processes": processes, "sequences_per_step": each_step * options.batch_size}
    if meeting is not None and not meeting.is_first:
        return figures
    if not is_intact(best):
        raise ValueError(f"{BEST} is damaged, kept in {set_aside(run.path)}; the same command starts over")
    state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
    model.float()  # after trainer.precision=64-true
    model.load_state_dict({k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")})
    finetuning.melt(model)
    return figures


def _smaller(shape: tuple[int, ...] | None, options: TrainOptions) -> str:
    """What helps when a batch of the shape (B, T) does not fit into the memory of a GPU."""
    tokens = max(1, shape[0] * shape[1] // 2) if shape else "N"
    return (
        f"batch_tokens={tokens} or a batch_size below {options.batch_size}, which starts over, since other batches are "
        "another training; trainer=cpu, or the same command when other programs leave more memory, goes on from the "
        "last checkpoint"
    )


def run_trainer(trainer: Trainer, task: LightningModule, checkpoint: Path | None) -> None:
    """Train, from a checkpoint if there is one; Ctrl-C is a KeyboardInterrupt, as elsewhere."""
    try:
        trainer.fit(task, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns it into an ordinary exit
            if launcher := trainer.strategy.launcher:
                launcher.kill(signal.SIGKILL)  # otherwise the processes of the other devices would go on
            raise end.__context__ from None
        raise


def start_from_vectors(model: SequenceModel, schema: DataSchema, vectors: str) -> None:
    """Copy the word vectors of a file into the embeddings; print how many words have one. See `find_vectors`."""
    weight = model.embedding.words.weight  # (V, E)
    file = find_vectors(vectors).of_width(weight.shape[1])
    pretrained = vectors_of(file, schema)
    width = pretrained.vectors.shape[1]
    if width != weight.shape[1]:
        raise ValueError(
            f"vectors={vectors}: {width} numbers per word, but model.embedding_size={weight.shape[1]}; "
            f"accepted: model.embedding_size={width}"
        )
    found = torch.from_numpy(pretrained.found)
    with torch.no_grad():
        weight[found] = torch.from_numpy(pretrained.vectors)[found]
    print(f"{file}: vectors of {found.sum()} of {len(found)} words ({pretrained.found.mean():.1%})", flush=True)
