"""What happens around the loop: randomness that survives a kill, the history, lines for a log."""

import csv
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torchmetrics import Metric


class ProcessState(Callback):
    """Keeps in the checkpoint what every process has of its own, so that a resumed run ends as an unbroken one.

    That is PyTorch's random state, and the training loss of the epoch so far.
    """

    def __init__(self, seed: int, train_loss: Metric) -> None:
        self.seed = seed
        self.train_loss = train_loss
        self._random: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.world_size > 1:  # else they would all drop alike, whatever the seed
            torch.manual_seed(self.seed + trainer.global_rank)

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        random = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            random["cuda"] = torch.cuda.get_rng_state()
        loss = {name: value.cpu() for name, value in self.train_loss.state_dict().items()}
        checkpoint["processes"] = _of_every_process({"random": random, "train_loss": loss})

    def on_load_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["processes"][trainer.global_rank]
        self.train_loss.load_state_dict(state["train_loss"])
        self._random = state["random"]

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        # Not before: setting up draws too.
        if "cpu" in self._random:
            torch.set_rng_state(self._random["cpu"])
        if "cuda" in self._random and torch.cuda.is_available():
            torch.cuda.set_rng_state(self._random["cuda"])
        self._random = {}


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that stays stopped: a run killed after its last epoch does not train another one."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class ResumePoint(Checkpoint):
    """Saves the whole training state every `steps` steps and after every epoch's validation.

    A Checkpoint, because Lightning calls those after all other callbacks: their state is then up to date.
    """

    def __init__(self, path: Path, steps: int) -> None:
        self.path = path
        self.steps = steps

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0  # else gradients would be lost
        is_last_batch = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if stepped and trainer.global_step % self.steps == 0 and not is_last_batch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        # Lightning moves the file here from the temporary folder: that copies it where this is another disk.
        whole = self.path.with_suffix(".new")
        trainer.save_checkpoint(whole)
        if trainer.is_global_zero:
            whole.replace(self.path)


class History(Callback):
    """Writes one row an epoch to `path`, and prints it where no progress bar is shown.

    Columns: epoch (from 1), train/loss, val/..., learning_rate, seconds (since the start, without any time that
    a broken run lay still).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._seconds_before = 0.0
        self._start = 0.0

    @property
    def seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._start

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        self._seconds_before = state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._start = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        names = sorted(name for name in trainer.callback_metrics if name.startswith(("train/", "val/")))
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                **{name: float(trainer.callback_metrics[name]) for name in names},
                "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
                "seconds": round(self.seconds, 3),
            }
        )
        write_history(self.path, self.rows)
        if trainer.progress_bar_callback is None:
            print_epoch(self.rows[-1], trainer.max_epochs)


@rank_zero_only
def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@rank_zero_only
def print_epoch(row: dict[str, float], max_epochs: int | None) -> None:
    scores = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if "/" in name)
    print(f"epoch {row['epoch']}/{max_epochs}  {scores}  {row['seconds']:.0f} s", flush=True)


def _of_every_process(value: Any) -> list[Any]:
    """Every process's `value`, by rank."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
