"""Trains a language model with Lightning, as networks are trained: resumable, on any device."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from unroll.checks import check_below_one, check_choice, check_least
from unroll.data.pretrained import Kind, Pretrained
from unroll.data.schema import DataSchema
from unroll.data.tokens import SPECIAL_WORDS
from unroll.hardware import DEVICES
from unroll.inference.building import build_model, check_model
from unroll.nn import RecurrentEncoder, SequenceModel
from unroll.nn.devices import announce, choose, describe, lacks_memory, too_large
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.language_model import LanguageModel
from unroll.pretraining.pretrain import Report
from unroll.pretraining.reading import Passage, SequentialPassages, ShuffledPassages, Windows
from unroll.pretraining.softmax import Sampler, full_loss, sampled_loss
from unroll.training.callbacks import History, LastBatch, OwnSignals, ProcessState, ResumePoint
from unroll.training.checkpoints import LAST, is_intact
from unroll.training.metrics import Mean
from unroll.training.module import set_matmul_precision
from unroll.training.network import run_trainer
from unroll.training.schedules import linear
from unroll.training.trainer import build_trainer, quiet_lightning


def _ignore(epoch: int, figures: dict[str, float]) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class LanguageModeling:
    """Trains a language model of the embedding and the encoder of a network; a file of ``conf/pretraining``.

    Args:
        model: the network, as a file of ``conf/model``. Characters are left out.
        epochs: how often the corpus is read.
        min_count, max_words: words with fewer occurrences, and all but the most frequent, are `<unk>`.
        batch_tokens: maximum number of tokens in a batch, padding included.
        window, context: see `Windows`.
        samples: number of words in the estimated denominator of the softmax; see `Sampler`.
        dropout: of the embeddings and the states, in place of the network's own, which is for little labelled data.
        lr: learning rate of AdamW after the warm-up, a twentieth of the steps; it decreases to zero linearly.
        weight_decay: of AdamW.
        gradient_clip: largest norm of the gradient.
        checkpoint_steps: number of steps between two checkpoints; there is also one after every epoch.
        device: `auto`, `cpu`, `cuda` or `mps`. On CUDA, an encoder of 512 units or more
            computes in bfloat16.

    Raises:
        ValueError: an option is out of its range.
    """

    model: dict[str, Any]
    epochs: int = 2
    min_count: int = 3
    max_words: int | None = None
    batch_tokens: int = 4096
    window: int = 256
    context: int = 32
    samples: int = 2048
    dropout: float = 0.1
    lr: float = 0.006
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    checkpoint_steps: int = 200
    device: str = "auto"

    def __post_init__(self) -> None:
        least_one = ("epochs", "min_count", "batch_tokens", "context", "samples", "checkpoint_steps")
        check_least(1, **{f"pretraining.{name}": getattr(self, name) for name in least_one})
        check_least(1, "no limit", **{"pretraining.max_words": self.max_words})
        check_least(4, **{"pretraining.window": self.window})
        check_least(0, **{"pretraining.weight_decay": self.weight_decay})
        check_below_one(**{"pretraining.dropout": self.dropout})
        check_choice("pretraining.device", self.device, DEVICES)
        for name in ("lr", "gradient_clip"):
            value = getattr(self, name)
            if not value > 0 or (name == "lr" and math.isinf(value)):
                raise ValueError(f"pretraining.{name}={value}; accepted: above 0")

    @property
    def kind(self) -> Kind:
        return "language_model"

    def learn(self, corpus: TokenCorpus, seed: int, checkpoints: Path, report: Report = _ignore) -> Pretrained:
        """Train on the documents of a corpus; `report` takes the scores of `LanguageTask` after each epoch, from 1.

        If the process is killed at any moment, the same call goes on from the last checkpoint, and returns the same
        weights as an uninterrupted training on the same device.

        Args:
            seed: of the initial weights, the order of the batches, the negatives and dropout.
            checkpoints: a folder for the state, and for ``history.csv``.

        Raises:
            ValueError: the model is no recurrent network, or its directions are mixed; no document has two tokens; or
                the device is not here, or its memory is too small.
        """
        torch.manual_seed(seed)
        place = choose(self.device, "pretraining.device")
        announce(place, self.device)
        corpus, config = corpus.limited(self.min_count, self.max_words), {**self.model, "characters": None}
        model = self.build(corpus)
        train, held_out = (
            Windows(corpus.table, it, self.window, self.context) for it in (corpus.sequences, corpus.held_out)
        )
        for name, windows in (("to learn from", train), ("held out", held_out)):
            if not len(windows):
                raise ValueError(f"no document {name} has two tokens; accepted: more text, and corpus.held_out above 0")
        batches = ShuffledPassages(train, seed, self.batch_tokens, Sampler(len(corpus.vocabulary), self.samples))
        task = LanguageTask(model, batches, SequentialPassages(held_out, self.batch_tokens), self)
        last = checkpoints / LAST
        callbacks = [
            last_batch := LastBatch(),
            ProcessState(seed, task.train_loss),
            Reports(checkpoints / "history.csv", report),
            ResumePoint(last, self.checkpoint_steps),
            OwnSignals(),
        ]
        trainer = build_trainer(
            {
                "_target_": "pytorch_lightning.Trainer",
                "accelerator": place.type,
                "devices": 1,
                "precision": "bf16-mixed" if place.type == "cuda" else "32-true",
                "max_epochs": self.epochs,
                "gradient_clip_val": self.gradient_clip,
            },
            callbacks,
        )
        if last.exists() and not is_intact(last):
            print(f"{last} is damaged: starting over", flush=True)
            last.unlink()
        try:
            run_trainer(trainer, task, last if last.exists() else None)
        except Exception as error:
            if not lacks_memory(error):
                raise
            advice = f"a pretraining.batch_tokens below {self.batch_tokens}, or pretraining.device=cpu"
            raise too_large(last_batch.shape, describe(place), advice) from error
        return Pretrained(self.kind, corpus.vocabulary, corpus.tokenizer, config, weights_of(model))

    def build(self, corpus: TokenCorpus) -> LanguageModel:
        """The language model with new weights."""
        alphabet, config = (
            SPECIAL_WORDS,
            {**self.model, "characters": None, "dropout": self.dropout, "word_dropout": 0.0},
        )
        schema = DataSchema("classification", ["0", "1"], corpus.vocabulary, alphabet, corpus.tokenizer, False)
        check_model(self.model)
        if self.model["_target_"] != "unroll.nn.SequenceModel":
            raise ValueError(f"model._target_={self.model['_target_']!r}; accepted: unroll.nn.SequenceModel")
        network = build_model(config, schema)
        if not isinstance(network, SequenceModel) or not isinstance(network.encoder, RecurrentEncoder):
            raise ValueError("model.encoder has no recurrence; accepted: unroll.nn.RecurrentEncoder")
        return LanguageModel(network.embedding, network.encoder, corpus.counts, self.dropout)


class LanguageTask(LightningModule):
    """Trains a language model by `sampled_loss`, and measures the perplexity on held-out documents after every epoch.

    The scores are `train/loss`, the mean of −log p by the estimate in training, `val/loss`, and `val/perplexity` and,
    with a backward direction, `val/backward_perplexity`, with the complete softmax.
    """

    def __init__(
        self, model: LanguageModel, train: ShuffledPassages, held_out: SequentialPassages, options: "LanguageModeling"
    ) -> None:
        super().__init__()
        self.model, self.options = model, options
        self._batches, self._held_out = train, held_out
        self.train_loss = Mean(is_saved=True)
        names = ("val/perplexity", "val/backward_perplexity")[: model.directions]
        self._losses = dict(zip(names, [Mean() for _ in names], strict=True))
        self._modules_of_losses = torch.nn.ModuleList(self._losses.values())  # moves them with the model

    def setup(self, stage: str) -> None:
        quiet_lightning()
        if self.trainer.strategy.root_device.type == "cuda":
            set_matmul_precision("high")

    def train_dataloader(self) -> ShuffledPassages:
        self._batches.device = self.device.type
        return self._batches

    def val_dataloader(self) -> SequentialPassages:
        self._held_out.device = self.device.type
        return self._held_out

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["train_batches"] = self._batches.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._batches.load_state_dict(checkpoint["train_batches"])

    def training_step(self, passage: Passage[Tensor], batch_index: int) -> Tensor:
        vectors, words = self.model(passage)
        assert passage.negatives is not None
        with torch.autocast("cuda", enabled=False):  # a score of 16 bits would be wrong by a few per cent
            loss = sampled_loss(
                vectors.float(), words, passage.negatives, self.model.embedding.words.weight, self.model.bias
            )
        self.train_loss.update(loss.detach(), len(words))
        return loss

    def validation_step(self, passage: Passage[Tensor], batch_index: int) -> None:
        with torch.autocast("cuda", enabled=False):
            vectors, words = self.model(passage)
            counts = [len(passage.forward.words), len(passage.backward.words)][: self.model.directions]
            parts = zip(self._losses.values(), vectors.split(counts), words.split(counts), strict=True)
            for loss, x, y in parts:
                total = full_loss(x, y, self.model.embedding.words.weight, self.model.bias)
                loss.update(total / max(1, len(y)), len(y))

    def on_validation_epoch_end(self) -> None:
        trained = self.train_loss.compute()
        if not math.isfinite(trained):
            raise ValueError(
                f"epoch {self.current_epoch + 1}: the mean training loss is {float(trained)}; accepted: a finite "
                f"number, try a smaller pretraining.lr than {self.options.lr}"
            )
        self.log("train/loss", trained)
        losses = {name: loss.compute() for name, loss in self._losses.items()}
        self.log("val/loss", torch.stack(list(losses.values())).mean())
        for name, value in losses.items():
            self.log(name, value.exp(), prog_bar=True)
        for mean in (self.train_loss, *self._losses.values()):
            mean.reset()

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.model.parameters(), self.options.lr, weight_decay=self.options.weight_decay, fused=True
        )
        optimizer._step_supports_amp_scaling = False  # gradients are clipped before it steps
        schedule = linear(optimizer, self.options.epochs * len(self._batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Reports(History):
    """Passes each row of the history on, in place of printing it."""

    def __init__(self, path: Path, report: Report) -> None:
        super().__init__(path)
        self.report = report

    def show(self, trainer: Trainer) -> None:
        figures = dict(self.rows[-1])
        self.report(int(figures.pop("epoch")), figures)


def weights_of(model: LanguageModel) -> dict[str, np.ndarray]:
    """What is kept of a language model: the embedding and the encoder, as `Pretrained` names them."""
    parts = {"embedding": model.embedding, "encoder": model.encoder}
    arrays = {
        f"{name}.{key}": tensor.float().numpy(force=True)
        for name, part in parts.items()
        for key, tensor in part.state_dict().items()
    }
    return {"words": arrays.pop("embedding.words.weight"), **arrays}
