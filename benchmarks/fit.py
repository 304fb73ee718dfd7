"""Training under Lightning, as in the train stage, and in a plain loop, timed per unit of work."""

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from benchmarks.shipped import configuration
from benchmarks.timing import Run
from unroll.data.batches import SequentialBatches, ShuffledBatches
from unroll.data.padding import Batch
from unroll.data.prepared import PreparedData
from unroll.nn import SequenceModel
from unroll.training.callbacks import ProcessState, ResumePoint
from unroll.training.module import SequenceTask
from unroll.training.trainer import quiet_lightning

WARM_UP = 5  # batches that are not timed
SEED = 1
OPTIMIZER = instantiate(configuration("optimizer", "adamw"))
SCHEDULER = instantiate(configuration("scheduler", "linear"))

Unit = Callable[[Batch[Tensor]], int]


def steps(batch: Batch[Tensor]) -> int:
    return 1


def sequences(batch: Batch[Tensor]) -> int:
    return len(batch.tokens.lengths)


def tokens(batch: Batch[Tensor]) -> int:
    """The number of tokens, without padding."""
    return int(batch.tokens.lengths.sum())


class Stopwatch(Callback):
    """Times training per unit, after `WARM_UP` batches, including Lightning's work between two batches."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.units = 0
        self.start = self.end = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.lap(batch, batch_idx)

    def lap(self, batch: Batch[Tensor], index: int) -> None:
        """Call this at the end of every batch."""
        self.end = time.perf_counter()
        if index < WARM_UP:
            self.start = self.end
        else:
            self.units += self.unit(batch)

    @property
    def seconds(self) -> float:
        """Per unit."""
        return (self.end - self.start) / self.units


def fitting(
    model: SequenceModel, data: PreparedData, batches: ShuffledBatches, unit: Unit, work: Path, limit: int | None = None
) -> Run:
    """An epoch, or its first `limit` batches, as in the train stage but without validation."""
    validation = SequentialBatches(data.split("validation"), batches.batch_size, characters=model.reads_characters)
    task = SequenceTask(model, data, batches, validation, OPTIMIZER, SCHEDULER)

    def run() -> float:
        stopwatch = Stopwatch(unit)
        trainer: Trainer = instantiate(
            configuration("trainer", "cpu"),
            max_epochs=1,
            limit_train_batches=limit,
            limit_val_batches=0,
            logger=False,
            callbacks=[ProcessState(SEED, task.train_loss), stopwatch, ResumePoint(work / "last.ckpt", steps=500)],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        trainer.fit(task)
        return stopwatch.seconds

    quiet_lightning()
    return run


def looping(
    model: SequenceModel, batches: ShuffledBatches | DataLoader[Batch[Tensor]], unit: Unit, limit: int | None = None
) -> Run:
    """The same computation in a plain loop."""
    clip: float = configuration("trainer", "cpu")["gradient_clip_val"]

    def run() -> float:
        stopwatch = Stopwatch(unit)
        optimizer = OPTIMIZER(model.parameters())
        scheduler = SCHEDULER(optimizer, len(batches))
        model.train()
        for index, batch in enumerate(islice(batches, limit)):
            loss = model.head.loss(model(batch.tokens), batch.labels, batch.tokens.lengths)
            optimizer.zero_grad()
            loss.backward()
            clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            scheduler.step()
            stopwatch.lap(batch, index)
        return stopwatch.seconds

    return run
