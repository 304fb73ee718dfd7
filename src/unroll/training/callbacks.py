"""Lightning callbacks of every training: resuming, early stopping and the history."""

import signal
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from torch import Tensor, nn

from unroll.training.history import print_epoch, write_history


class ProcessState(Callback):
    """Saves the state of each process in the checkpoint, so that a resumed training gives the same result.

    The state is that of PyTorch's random number generators, and the training loss of the epoch so far. Each process
    draws from its own seed, `seed` plus its rank.
    """

    def __init__(self, seed: int, train_loss: nn.Module) -> None:
        self.seed = seed
        self.train_loss = train_loss
        self._random: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.world_size > 1:  # otherwise dropout would be the same in all processes
            torch.manual_seed(self.seed + trainer.global_rank)

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        random = {"cpu": torch.get_rng_state()}
        if module.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(module.device)
        elif module.device.type == "mps":
            random["mps"] = torch.mps.get_rng_state()
        loss = {name: value.cpu() for name, value in self.train_loss.state_dict().items()}
        checkpoint["processes"] = _of_every_process({"random": random, "train_loss": loss})

    def on_load_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["processes"][trainer.global_rank]
        self.train_loss.load_state_dict(state["train_loss"])
        self._random = state["random"]

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        # Only here, because setting up the training draws random numbers as well.
        if "cpu" in self._random:
            torch.set_rng_state(self._random["cpu"])
        kind = module.device.type  # on another device than before, dropout draws other numbers
        if kind == "cuda" and kind in self._random:
            torch.cuda.set_rng_state(self._random[kind], module.device)
        elif kind == "mps" and kind in self._random:
            torch.mps.set_rng_state(self._random[kind])
        self._random = {}


class OwnSignals(Callback):
    """Leaves SIGTERM, in each of several processes, to the handler that was there before Lightning's.

    Lightning's tells the other processes by a collective operation, in the middle of others, and asks all of them
    before every step, which on a GPU waits for the device. Without it each process ends by itself, and with it the
    others.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.world_size > 1:
            handlers: dict[int, Any] = trainer._signal_connector._original_handlers
            if (before := handlers.get(signal.SIGTERM)) is not None:
                signal.signal(signal.SIGTERM, before)
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that also works after resuming: a training killed after its last epoch trains no other."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class LastStep(Callback):
    """Ends a training with a validation after `max_steps` optimizer steps, also within an epoch; -1 for no limit.

    With Lightning's own limit there would be no validation, and a training could not be resumed between two epochs.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: Trainer, *others: Any, **named: Any) -> None:
        trainer.should_stop |= trainer.global_step == self.max_steps

    on_train_batch_end = on_train_start


class LastBatch(Callback):
    """Knows the shape (B, T) of the batch that is being computed, for the error if it does not fit into the memory."""

    shape: tuple[int, ...] | None = None

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, *others: Any) -> None:
        self.shape = tuple(batch.tokens.words.shape)

    def on_validation_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, *others: Any) -> None:
        self.shape = tuple(batch.tokens.words.shape)


class ResumePoint(Checkpoint):
    """Saves the complete training state every `steps` optimizer steps and after the validation of every epoch.

    A subclass of `Checkpoint`, which Lightning calls after all other callbacks, so that it saves their latest state.
    """

    def __init__(self, path: Path, steps: int) -> None:
        self.path = path
        self.steps = steps

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_accumulating = (batch_idx + 1) % trainer.accumulate_grad_batches  # gradients, which would be lost
        is_last_batch = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        is_validated_next = is_last_batch or trainer.should_stop
        if trainer.global_step % self.steps == 0 and not is_accumulating and not is_validated_next:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        # Lightning moves the file from the temporary folder, which copies it if that is on another disk.
        complete = self.path.with_suffix(".new")
        trainer.save_checkpoint(complete)
        if trainer.is_global_zero:
            complete.replace(self.path)


class History(Callback):
    """Writes one row per epoch to the file `path`, and prints it if there is no progress bar.

    The columns are those of `unroll.training.history`. The time between an interruption and resuming is not counted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._before = self._start = 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._start

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        self._before = state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._start = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        scores = {k: float(v) for k, v in sorted(trainer.callback_metrics.items()) if k.startswith(("train/", "val/"))}
        rate, seconds = trainer.optimizers[0].param_groups[0]["lr"], round(self.seconds, 3)
        self.rows.append({"epoch": trainer.current_epoch + 1, **scores, "learning_rate": rate, "seconds": seconds})
        if trainer.is_global_zero:
            write_history(self.path, self.rows)
            self.show(trainer)

    def show(self, trainer: Trainer) -> None:
        """Print the last row."""
        if trainer.progress_bar_callback is None:
            print_epoch(self.rows[-1], trainer.max_epochs)


def _nothing() -> None:
    """Take the place of a method."""


def _of_every_process(value: Any) -> list[Any]:
    """The values of all processes, by rank."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
