"""Made-up data with the sizes of imdb and conll2003."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unroll.data.batches import ShuffledBatches, collate
from unroll.data.padding import Batch
from unroll.data.ragged import Ragged
from unroll.data.tokens import PADDING, TOKEN_TASKS, Casing, Task

LABELS: dict[Task, tuple[str, ...]] = {
    "classification": ("negative", "positive"),
    "labeling": ("O", *(f"{prefix}-{kind}" for kind in ("PER", "ORG", "LOC", "MISC") for prefix in "BI")),
}


class Table:
    """`words` distinct tokens, most of which occur rarely; row 0 is padding."""

    def __init__(self, words: int, draw: np.random.Generator) -> None:
        self.words = np.arange(words)
        self.casing = draw.integers(1, len(Casing), words)
        self.casing[0] = PADDING
        lengths = draw.integers(1, 12, words)
        self.spellings = Ragged.from_lengths(draw.integers(2, 60, lengths.sum()), lengths)

    def spell(self, rows: np.ndarray) -> np.ndarray:
        positions, mask = self.spellings.positions(rows)
        return np.where(mask, self.spellings.values[positions], PADDING)


@dataclass(frozen=True)
class Split:
    """What batches read of an `EncodedSplit`, without the packages that prepared data need."""

    task: Task
    table: Table
    sequences: Ragged
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def tokens(self) -> np.ndarray:
        return self.sequences.values

    @property
    def offsets(self) -> np.ndarray:
        return self.sequences.offsets

    @property
    def lengths(self) -> np.ndarray:
        return self.sequences.lengths


def made_up(task: Task, lengths: np.ndarray, words: int, seed: int) -> Any:
    """A split of random sequences of these lengths, with tokens distributed as Zipf has it."""
    draw = np.random.default_rng(seed)
    total = int(lengths.sum())
    shares = 1 / np.arange(1, words)
    tokens = draw.choice(np.arange(1, words), total, p=shares / shares.sum()).astype(np.int32)
    labels = draw.integers(0, len(LABELS[task]), total if task in TOKEN_TASKS else len(lengths))
    return Split(task, Table(words, draw), Ragged.from_lengths(tokens, lengths), labels)


def imdb_like(batches: int, size: int, words: int, longest: int) -> ShuffledBatches:
    """Texts of 20 to `longest` tokens, about a quarter of it on average, in batches by length."""
    lengths = np.random.default_rng(1).gamma(2.0, longest / 8, batches * size).clip(min(20, longest), longest)
    return ShuffledBatches(made_up("classification", lengths.astype(int), words, 0), 1, size)


def conll_like(batches: int, size: int, words: int) -> ShuffledBatches:
    """Sentences of 1 to 60 tokens, 15 on average, with characters."""
    lengths = np.random.default_rng(1).gamma(2.0, 7.5, batches * size).clip(1, 60).astype(int)
    return ShuffledBatches(made_up("labeling", lengths, words, 0), 1, size, characters=True)


def batch_for(task: Task, size: int, steps: int, words: int, seed: int) -> Batch[Tensor]:
    """A batch of `size` sequences of 1 to `steps` tokens, with characters; the first one has `steps`."""
    lengths = np.random.default_rng(seed).integers(1, steps + 1, size)
    lengths[0] = steps
    return collate(made_up(task, lengths, words, seed), np.arange(size), characters=True)


def to_device(batch: Any, device: torch.device) -> Any:
    """Copy the tensors of a batch to the device, without waiting if they are in page-locked memory."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple):
        return type(batch)(*(to_device(part, device) for part in batch))
    return batch
