"""The LightningModule that trains every `SequenceModel`, for every task."""

import math
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from unroll.data.batches import SequentialBatches, ShuffledBatches
from unroll.data.padding import Batch
from unroll.data.prepared import PreparedData
from unroll.nn import SequenceModel
from unroll.training.finetuning import FineTuning
from unroll.training.metrics import Mean, validation_metrics
from unroll.training.options import MatmulPrecision
from unroll.training.trainer import quiet_lightning


class SequenceTask(LightningModule):
    """Trains a network, and scores it on the validation split after every epoch.

    `scheduler` is called with the optimizer and the number of optimizer steps in the whole training, which
    ends after the trainer's `max_epochs` or after `max_steps` steps; -1 for no limit. `matmul_precision` is that of
    `TrainOptions`; without `finetuning` everything is trained alike.
    """

    def __init__(
        self,
        model: SequenceModel,
        data: PreparedData,
        train_batches: ShuffledBatches,
        val_batches: SequentialBatches,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer, int], LRScheduler],
        max_steps: int = -1,
        matmul_precision: MatmulPrecision = "high",
        finetuning: FineTuning | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self._train_batches = train_batches
        self._val_batches = val_batches
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._max_steps = max_steps
        self._matmul_precision = matmul_precision
        self._finetuning = finetuning or FineTuning()
        # Persistent: the mean over an epoch that is resumed from a checkpoint includes the steps before it.
        self.train_loss = Mean(is_saved=True)
        self.val_loss = Mean()
        self.metrics = validation_metrics(data.task, data.label_names)
        self._metric_modules = nn.ModuleList(self.metrics.values())  # moves the metrics to the device of the network
        self.monitor = list(self.metrics)[-1]  # the best epoch is chosen by it

    def setup(self, stage: str) -> None:
        # In each process of ddp.
        quiet_lightning()
        for mean in (self.train_loss, self.val_loss):  # ddp_spawn shares the memory of their sums between processes
            mean.reset()
        if self.trainer.strategy.root_device.type == "cuda":
            set_matmul_precision(self._matmul_precision)

    def train_dataloader(self) -> ShuffledBatches:
        self._train_batches.device = self.device.type  # only now is the network there
        return self._train_batches

    def val_dataloader(self) -> SequentialBatches:
        self._val_batches.device = self.device.type
        return self._val_batches

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["train_batches"] = self._train_batches.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Lightning does this by itself only for checkpoints within an epoch.
        self._train_batches.load_state_dict(checkpoint["train_batches"])

    def training_step(self, batch: Batch[Tensor], batch_index: int) -> Tensor:
        logits = self.model(batch.tokens)
        loss = self.model.head.loss(logits, batch.labels, batch.tokens.lengths)
        self.train_loss.update(loss.detach())
        weight = self._train_batches.weight(batch_index)
        return loss if weight is None else loss * weight

    def validation_step(self, batch: Batch[Tensor], batch_index: int) -> None:
        head, lengths = self.model.head, batch.tokens.lengths
        logits = self.model(batch.tokens)
        weight = (batch.labels >= 0).sum()  # number of labels that the loss is averaged over
        self.val_loss.update(head.loss(logits, batch.labels, lengths), weight)
        predicted = head.decode(logits, lengths)
        for metric in self.metrics.values():
            metric.update(predicted, batch.labels)

    def on_validation_epoch_end(self) -> None:
        metrics: dict[str, Any] = {"train/loss": self.train_loss, "val/loss": self.val_loss, **self.metrics}
        for name, metric in metrics.items():
            value = metric.compute()
            if name == "train/loss" and not self.trainer.sanity_checking:  # which comes before any step
                self._check_loss(value.item())
            self.log(name, value, prog_bar=name == self.monitor)
            metric.reset()

    def _check_loss(self, loss: float) -> None:
        """Refuse a loss that is not finite: once an epoch, since to read the loss of a step would wait for the GPU."""
        if not math.isfinite(loss):
            rate, precision = self.trainer.optimizers[0].param_groups[0]["initial_lr"], self.trainer.precision
            raise ValueError(
                f"epoch {self.current_epoch + 1}: the mean training loss is {loss}; accepted: a finite number, try a "
                f"smaller optimizer.lr than {rate}"
                + ("" if "32" in precision else f" or trainer.precision=32-true instead of {precision}")
            )

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self._finetuning.groups(self.model))
        self._finetuning.slow_down(optimizer)
        # Of a fused optimizer too, gradients are unscaled before they are clipped, and not while it steps.
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
        scheduler = self._scheduler(optimizer, self._total_steps())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        # Before gradients are clipped, so that their norm is that of the layers which are trained.
        self._finetuning.drop_gradients(optimizer, self.current_epoch)

    def _total_steps(self) -> int:
        # trainer.estimated_stepping_batches would set up the batches before a checkpoint is restored, and a resumed
        # epoch would start at its first batch.
        per_epoch = math.ceil(len(self._train_batches) / self.trainer.accumulate_grad_batches)
        return min(steps for steps in ((self.trainer.max_epochs or -1) * per_epoch, self._max_steps) if steps > 0)


def set_matmul_precision(precision: MatmulPrecision) -> None:
    """Let products of float32 on a GPU use TF32 or not, in matrix products and in cuDNN alike.

    PyTorch's own default is TF32 in cuDNN only. `torch.set_float32_matmul_precision` would leave cuDNN out, and would
    also change products on a CPU.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "high"
