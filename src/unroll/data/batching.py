"""Batches of sequences of similar lengths, cut from an encoded split."""

import math
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributed import get_rank, get_world_size, is_initialized

from unroll.data.encoding import PADDING
from unroll.data.prepared import EncodedSplit
from unroll.data.text import Casing

IGNORE = -100  # the label of padding, as PyTorch's losses have it
WINDOW = 50  # batches that are sorted by length together: more is less padding and less randomness


class Batch(NamedTuple):
    """B sequences, right-padded to T tokens.

    `words`, `casing` (B, T); `lengths` (B,); `labels` (B,) or, with IGNORE at padding, (B, T); `positions` (B,) the
    sequences' positions in the split.
    """

    words: Tensor
    casing: Tensor
    lengths: Tensor
    labels: Tensor
    positions: Tensor


class SequentialBatches:
    """Every sequence once, shortest first. Iterable any number of times.

    Where `torch.distributed` runs, each process takes its share of the batches.
    """

    def __init__(self, split: EncodedSplit, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}; accepted: 1 or more")
        self.split = split
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self._share(self._order()))

    def __iter__(self) -> Iterator[Batch]:
        for index in self._share(self._order()):
            yield collate(self.split, index)

    def _order(self) -> list[np.ndarray]:
        order = np.argsort(self.split.lengths, kind="stable")
        return _cut(order, self.batch_size)

    def _share(self, batches: list[np.ndarray]) -> list[np.ndarray]:
        return batches[get_rank() :: get_world_size()] if is_initialized() else batches


class ShuffledBatches(SequentialBatches):
    """Every sequence once an epoch, in an order drawn from the seed and the epoch's number.

    Sequences are shuffled, sorted by length within windows of WINDOW batches, cut into batches, and the batches
    shuffled. An iteration begins the next epoch; after `load_state_dict` it first goes on where the state was
    taken, batch for batch.
    """

    def __init__(self, split: EncodedSplit, batch_size: int, seed: int) -> None:
        super().__init__(split, batch_size)
        self.seed = seed
        self._epoch = -1
        self._position = 0
        self._resumed = False

    def __iter__(self) -> Iterator[Batch]:
        if not self._resumed:
            self._epoch, self._position = self._epoch + 1, 0
        self._resumed = False
        batches = self._share(self._order())
        while self._position < len(batches):
            self._position += 1
            yield collate(self.split, batches[self._position - 1])

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch, self._position = state["epoch"], state["position"]
        self._resumed = 0 < self._position < len(self)

    def _order(self) -> list[np.ndarray]:
        draw = np.random.default_rng([self.seed, max(self._epoch, 0)])
        order = draw.permutation(len(self.split))
        lengths = self.split.lengths
        window = WINDOW * self.batch_size
        parts = [order[start : start + window] for start in range(0, len(order), window)]
        by_length = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
        batches = _cut(by_length, self.batch_size)
        return [batches[i] for i in draw.permutation(len(batches))]

    def _share(self, batches: list[np.ndarray]) -> list[np.ndarray]:
        """As many batches for every process, or their gradients would wait for each other for ever."""
        if is_initialized():
            rounds = math.ceil(len(batches) / get_world_size())
            batches = list(islice(cycle(batches), rounds * get_world_size()))
        return super()._share(batches)


def collate(split: EncodedSplit, index: np.ndarray) -> Batch:
    """Cut the sequences `index` (B,) out of the ragged arrays and pad them on the right."""
    lengths = split.lengths[index]
    steps = np.arange(lengths.max())
    mask = steps < lengths[:, None]  # (B, T)
    tokens = np.where(mask, split.offsets[index, None] + steps, 0)  # (B, T)
    if split.task == "classification":
        labels = split.labels[index]  # (B,)
    else:
        labels = np.where(mask, split.labels[tokens], IGNORE)  # (B, T)
    return Batch(
        words=torch.from_numpy(np.where(mask, split.words[tokens], PADDING).astype(np.int64)),
        casing=torch.from_numpy(np.where(mask, split.casing[tokens], Casing.PADDING).astype(np.int64)),
        lengths=torch.from_numpy(lengths),
        labels=torch.from_numpy(np.array(labels)),
        positions=torch.from_numpy(index),
    )


def _cut(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
