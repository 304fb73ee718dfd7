"""Trains a language model with Lightning, as networks are trained: resumable, on any device."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from unroll.checks import check_below_one, check_choice, check_least
from unroll.data.pretrained import Pretrained
from unroll.data.schema import DataSchema
from unroll.data.tokens import SPECIAL_WORDS
from unroll.hardware import DEVICES
from unroll.inference.building import build_model
from unroll.nn import RecurrentEncoder, SequenceModel
from unroll.nn.devices import announce, choose, describe, lacks_memory, too_large
from unroll.pretraining.language_model import LanguageModel
from unroll.pretraining.reading import Corpus, Passage, SequentialPassages, ShuffledPassages, Windows
from unroll.pretraining.softmax import Sampler, full_loss, sampled_loss
from unroll.run_folder import RunFolder
from unroll.training.callbacks import History, LastBatch, OwnSignals, ProcessState, ResumePoint
from unroll.training.checkpoints import LAST, open_checkpoints
from unroll.training.metrics import Mean
from unroll.training.module import set_matmul_precision
from unroll.training.network import run_trainer
from unroll.training.schedules import linear
from unroll.training.trainer import build_trainer, quiet_lightning


@dataclass(frozen=True)
class LanguageModelOptions:
    """Options of a language model's training; a file of ``conf/pretraining``.

    Args:
        seed: of the initial weights, the order of the batches, the negatives and dropout.
        epochs: how often the corpus is read.
        batch_tokens: maximum number of tokens in a batch, padding included.
        window, context: see `Windows`.
        samples: number of words in the estimated denominator of the softmax; see `Sampler`.
        dropout: of the embeddings and the states, in place of the model's own, which is for little labelled data.
        lr: learning rate of AdamW after the warm-up, a twentieth of the steps; it decreases to zero linearly.
        weight_decay: of AdamW.
        gradient_clip: largest norm of the gradient.
        checkpoint_steps: number of steps between two checkpoints; there is also one after every epoch.
        threads: number of PyTorch threads.
        device: `auto`, `cpu`, `cuda` or `mps`. On CUDA, products are computed in bfloat16.
    """

    seed: int = 1
    epochs: int = 2
    batch_tokens: int = 8192
    window: int = 256
    context: int = 32
    samples: int = 2048
    dropout: float = 0.1
    lr: float = 0.003
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    checkpoint_steps: int = 200
    threads: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        check_least(0, seed=self.seed)
        check_least(1, epochs=self.epochs, batch_tokens=self.batch_tokens, samples=self.samples, threads=self.threads)
        check_least(1, context=self.context, checkpoint_steps=self.checkpoint_steps)
        check_least(4, window=self.window)
        check_below_one(dropout=self.dropout)
        check_choice("device", self.device, DEVICES)
        for name in ("lr", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r}; accepted: a number above 0")


class LanguageTask(LightningModule):
    """Trains a language model by `sampled_loss`, and measures the perplexity on held-out documents after every epoch.

    The scores are `train/loss`, the mean of −log p by the estimate in training, `val/loss`, and `val/perplexity` and,
    with a backward direction, `val/backward_perplexity`, with the complete softmax.
    """

    def __init__(
        self, model: LanguageModel, train: ShuffledPassages, held_out: SequentialPassages, options: LanguageModelOptions
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
        weight, bias = self.model.embedding.words.weight, self.model.bias
        loss = sampled_loss(vectors, words, passage.negatives, weight, bias)
        self.train_loss.update(loss.detach(), len(words))
        return loss

    def validation_step(self, passage: Passage[Tensor], batch_index: int) -> None:
        with torch.autocast("cuda", enabled=False):  # the only device with 16 bits
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
                f"number, try a smaller lr than {self.options.lr}"
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


def pretrain_language_model(
    corpus: Corpus, config: Mapping[str, Any], options: LanguageModelOptions, output: Path
) -> Pretrained:
    """Train a language model; write ``history.csv``, one row per epoch with the scores of `LanguageTask`.

    If the process is killed at any moment, the same call resumes from the last checkpoint in `output`, and returns the
    same weights as an uninterrupted training on the same device. The checkpoints remain until `discard_checkpoints` is
    called.

    Args:
        config: the file of ``conf/model`` whose embedding and encoder are trained; it has no characters here.

    Raises:
        ValueError: the model is no recurrent network, or its directions are mixed; the device is not here, or its
            memory is too small.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    place = choose(options.device)
    announce(place, options.device)
    config = {**config, "characters": None}
    model = build_language_model(corpus, config, options)
    sampler = Sampler(len(corpus.vocabulary), options.samples)
    read = np.setdiff1d(np.arange(len(corpus.sequences)), corpus.held_out)
    train, held_out = (Windows(corpus, it, options.window, options.context) for it in (read, corpus.held_out))
    for name, windows in (("read", train), ("held out", held_out)):
        if not len(windows):
            raise ValueError(f"no document that is {name} has two tokens; accepted: a larger corpus")
    batches = ShuffledPassages(train, options.seed, options.batch_tokens, sampler)
    task = LanguageTask(model, batches, SequentialPassages(held_out, options.batch_tokens), options)
    output.mkdir(parents=True, exist_ok=True)
    last = open_checkpoints(output, corpus, {"model": config}, replace(options, device="auto")) / LAST
    callbacks = [
        last_batch := LastBatch(),
        ProcessState(options.seed, task.train_loss),
        History(RunFolder(output).history),
        ResumePoint(last, options.checkpoint_steps),
        OwnSignals(),
    ]
    trainer = build_trainer(
        {
            "_target_": "pytorch_lightning.Trainer",
            "accelerator": place.type,
            "devices": 1,
            "precision": "bf16-mixed" if place.type == "cuda" else "32-true",
            "max_epochs": options.epochs,
            "gradient_clip_val": options.gradient_clip,
        },
        callbacks,
    )
    if last.exists():
        print(f"{output}: resuming from the last checkpoint", flush=True)
    try:
        run_trainer(trainer, task, last if last.exists() else None)
    except Exception as error:
        if not lacks_memory(error):
            raise
        advice = f"a batch_tokens below {options.batch_tokens}, or device=cpu"
        raise too_large(last_batch.shape, describe(place), advice) from error
    return pretrained(corpus, config, model)


def build_language_model(corpus: Corpus, config: dict[str, Any], options: LanguageModelOptions) -> LanguageModel:
    """The language model of a network's embedding and encoder, with new weights."""
    schema = DataSchema("classification", ["0", "1"], corpus.vocabulary, SPECIAL_WORDS, corpus.tokenizer, False)
    network = build_model({**config, "dropout": options.dropout, "word_dropout": 0.0}, schema)
    if not isinstance(network, SequenceModel) or not isinstance(network.encoder, RecurrentEncoder):
        raise ValueError(f"model={config.get('_target_')!r}; accepted: a network with unroll.nn.RecurrentEncoder")
    words = corpus.table.words
    occurrences = np.bincount(corpus.sequences.values, minlength=len(words))
    counts = np.bincount(words, occurrences, minlength=len(corpus.vocabulary))
    return LanguageModel(network.embedding, network.encoder, counts, options.dropout)


def pretrained(corpus: Corpus, config: dict[str, Any], model: LanguageModel) -> Pretrained:
    """What is kept of a language model: its embedding and encoder."""
    state = {"embedding": model.embedding, "encoder": model.encoder}
    arrays = {
        f"{name}.{key}": tensor.float().numpy(force=True)
        for name, part in state.items()
        for key, tensor in part.state_dict().items()
    }
    arrays["words"] = arrays.pop("embedding.words.weight")
    return Pretrained("language_model", corpus.vocabulary, corpus.tokenizer, config, arrays)
