"""The one LightningModule: any SequenceModel, any task."""

import logging
import math
import warnings
from collections.abc import Callable
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from unroll.data.batches import Batch, SequentialBatches, ShuffledBatches
from unroll.data.prepared import PreparedData
from unroll.nn import SequenceModel
from unroll.training.metrics import validation_metrics


class SequenceTask(LightningModule):
    """Trains `model`, and scores it on validation data after every epoch.

    Args:
        optimizer: called with the parameters.
        scheduler: called with the optimiser and the number of steps of the whole training.
    """

    def __init__(
        self,
        model: SequenceModel,
        data: PreparedData,
        train_batches: ShuffledBatches,
        val_batches: SequentialBatches,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer, int], LRScheduler],
    ) -> None:
        super().__init__()
        self.model = model
        self._train_batches = train_batches
        self._val_batches = val_batches
        self._optimizer = optimizer
        self._scheduler = scheduler
        # "/" cannot stand in a module's name; the persistent state makes a resumed epoch's mean the whole epoch's.
        self.train_loss = MeanMetric()
        self.train_loss.persistent(True)
        self.val_loss = MeanMetric()
        metrics = validation_metrics(data.task, data.label_names)
        self.metric_names = list(metrics)
        self.monitor = self.metric_names[-1]
        self.metrics = nn.ModuleList(metrics.values())

    def setup(self, stage: str) -> None:
        quiet_lightning()  # in every process

    def train_dataloader(self) -> ShuffledBatches:
        return self._train_batches

    def val_dataloader(self) -> SequentialBatches:
        return self._val_batches

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["train_batches"] = self._train_batches.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Lightning does this itself, but not where the checkpoint was taken at the end of an epoch.
        self._train_batches.load_state_dict(checkpoint["train_batches"])

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        scores = self.model(batch.tokens)
        loss = self.model.head.loss(scores, batch.labels, batch.tokens.lengths)
        self.train_loss.update(loss.detach())
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        head, lengths = self.model.head, batch.tokens.lengths
        scores = self.model(batch.tokens)
        weight = (batch.labels >= 0).sum()  # the loss is a mean over these
        self.val_loss.update(head.loss(scores, batch.labels, lengths), weight)
        decoded = head.decode(scores, lengths)
        for metric in self.metrics:
            metric.update(decoded, batch.labels)  # type: ignore[operator]

    def on_validation_epoch_end(self) -> None:
        self.log("train/loss", self.train_loss.compute())
        self.train_loss.reset()
        self.log("val/loss", self.val_loss.compute())
        self.val_loss.reset()
        for name, metric in zip(self.metric_names, self.metrics, strict=True):
            self.log(name, metric.compute(), prog_bar=name == self.monitor)  # type: ignore[operator]
            metric.reset()  # type: ignore[operator]

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self.model.parameters())
        scheduler = self._scheduler(optimizer, self._total_steps())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _total_steps(self) -> int:
        # Not trainer.estimated_stepping_batches: asked for here, it sets the batches up before a checkpoint is
        # restored, and a resumed epoch would begin at its first batch.
        epochs = self.trainer.max_epochs
        if not epochs or epochs < 1:
            raise ValueError(f"trainer.max_epochs={epochs}; accepted: 1 or more")
        return epochs * math.ceil(len(self._train_batches) / self.trainer.accumulate_grad_batches)


def quiet_lightning() -> None:
    """Silence Lightning's banners, tips and warnings about what is meant here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
