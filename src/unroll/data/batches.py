"""Batches of sequences of similar lengths, as tensors."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed import get_rank, get_world_size, is_initialized

from unroll.checks import check_least
from unroll.data.padding import Batch, cut, pad
from unroll.data.prefetch import made_ahead, pinned
from unroll.data.tokens import TOKEN_TASKS, Spelling, Tokens

if TYPE_CHECKING:
    from unroll.data.prepared import EncodedSplit

WINDOW = 100  # batches sorted by length together; a larger window means less padding and less randomness
AHEAD = {"cuda": 3}  # batches that a thread makes before they are used, by type of device; elsewhere there is no thread


@dataclass(eq=False)
class SequentialBatches:
    """Iterates over all sequences once, shortest first. Can be iterated any number of times.

    With `torch.distributed`, each process receives its share of the batches.

    Args:
        batch_size: maximum number of sequences in a batch.
        batch_tokens: maximum number of tokens in a batch, including padding; a longer sequence is a batch by itself.
        characters: whether batches contain the characters of their tokens.
        limit: number of batches of each process, or, as a float, a fraction of them, which is at least one batch; they
            are spread evenly over all. None for all batches.

    Raises:
        ValueError: a limit is below 1.
    """

    split: "EncodedSplit"
    batch_size: int
    batch_tokens: int | None = None
    characters: bool = False
    limit: int | float | None = None
    device: str = field(default="cpu", init=False)  # type of the device that the batches are for

    def __post_init__(self) -> None:
        check_least(1, batch_size=self.batch_size)
        check_least(1, "no limit", batch_tokens=self.batch_tokens)

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[Batch[Tensor]]:
        return self._made(self._batches())

    def _made(self, batches: list[np.ndarray]) -> Iterator[Batch[Tensor]]:
        """These batches, made beside the computation if they are for a GPU."""
        return made_ahead(self._make, batches, AHEAD.get(self.device, 0))

    def _make(self, index: np.ndarray) -> Batch[Tensor]:
        batch = collate(self.split, index, self.characters)
        return pinned(batch) if self.device == "cuda" else batch

    def _batches(self) -> list[np.ndarray]:
        """The positions of the sequences of each batch of this process."""
        batches = self._cut(np.argsort(self.split.lengths, kind="stable"))
        return self._some(batches[get_rank() :: get_world_size()] if is_initialized() else batches)

    def _some(self, own: list[np.ndarray]) -> list[np.ndarray]:
        """The batches of a process up to the limit."""
        if self.limit is None:
            return own
        count = max(1, int(self.limit * len(own))) if isinstance(self.limit, float) else min(self.limit, len(own))
        return [own[(2 * i + 1) * len(own) // (2 * count)] for i in range(count)]

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        return cut(order, self.split.lengths, self.batch_size, self.batch_tokens)


class ShuffledBatches(SequentialBatches):
    """Iterates over all sequences once per epoch, in an order that depends on `seed` and the epoch.

    Sequences are shuffled, sorted by length within windows of WINDOW batches and divided into batches, which are
    shuffled in turn. With `batch_tokens`, the window is the whole split, so that all epochs have the same number of
    batches.

    Each iteration is the next epoch. The first one after `load_state_dict` continues the epoch that the state was
    taken in, at the next batch.

    Args:
        accumulated: number of batches of each process in a step of the optimizer; see `weight`.
    """

    def __init__(
        self,
        split: "EncodedSplit",
        seed: int,
        batch_size: int,
        batch_tokens: int | None = None,
        characters: bool = False,
        limit: int | float | None = None,
        accumulated: int = 1,
    ) -> None:
        super().__init__(split, batch_size, batch_tokens, characters, limit)
        self.seed, self._epoch, self._position, self._resumed = seed, -1, 0, False
        self._accumulated, self._weights = accumulated, np.ones(0)

    def __iter__(self) -> Iterator[Batch[Tensor]]:
        if not self._resumed:
            self._epoch, self._position = self._epoch + 1, 0
        self._resumed = False
        batches = self._batches()
        self._weights = self._weigh()
        for batch in self._made(batches[self._position :]):
            self._position += 1  # of batches that were used, however many are made
            yield batch

    def weight(self, batch: int) -> float | None:
        """The factor of the mean loss of a batch of this process, by its number in the epoch; None for 1.

        Of all batches in a step of the optimizer, over processes and accumulated batches, the plain mean of the losses
        times their factors is the mean over all labels. Without, labels in small batches would count more than others.
        """
        return None if not len(self._weights) else float(self._weights[batch])

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._epoch, self._position = state["epoch"], state["position"]
        self._resumed = 0 < self._position < len(self)

    def _weigh(self) -> np.ndarray:
        """The factors of this process's batches; none if each is a step by itself."""
        processes, rank = (get_world_size(), get_rank()) if is_initialized() else (1, 0)
        if processes * self._accumulated == 1:
            return np.ones(0)
        # The batches of all processes, which this one knows because they follow from the seed.
        everyone = self._everyone()
        labels = np.array(
            [[self._count(batch) for batch in self._some(everyone[r::processes])] for r in range(processes)], np.int64
        )  # (processes, batches of each)
        starts = np.arange(0, labels.shape[1], self._accumulated)
        totals = np.add.reduceat(labels.sum(axis=0), starts)  # of each step
        step = np.arange(labels.shape[1]) // self._accumulated
        return labels[rank] * processes * self._accumulated / totals[step]

    def _count(self, batch: np.ndarray) -> int:
        """The number of labels that the loss of a batch is the mean over, up to a factor."""
        return int(self.split.lengths[batch].sum()) if self.split.task in TOKEN_TASKS else len(batch)

    def _batches(self) -> list[np.ndarray]:
        batches = self._everyone()
        return self._some(batches[get_rank() :: get_world_size()] if is_initialized() else batches)

    def _everyone(self) -> list[np.ndarray]:
        """The batches of all processes, in turns."""
        draw = np.random.default_rng([self.seed, max(self._epoch, 0)])
        order = draw.permutation(len(self.split))
        window = WINDOW * self.batch_size if self.batch_tokens is None else len(order)
        parts = [order[start : start + window] for start in range(0, len(order), window)]
        by_length = [part[np.argsort(self.split.lengths[part], kind="stable")] for part in parts]
        batches = self._cut(np.concatenate(by_length))
        batches = [batches[i] for i in draw.permutation(len(batches))]
        if is_initialized():  # with unequal numbers of batches, the synchronisation of the processes would deadlock
            rounds = math.ceil(len(batches) / get_world_size())
            batches = list(islice(cycle(batches), rounds * get_world_size()))
        return batches


def collate(split: "EncodedSplit", index: np.ndarray, characters: bool = False) -> Batch[Tensor]:
    """Copy the sequences at the positions `index` (B,) of a split into a padded batch."""
    (words, casing, lengths, spelling), labels, positions = pad(split, index, characters)
    tensor = torch.from_numpy
    spelled = None if spelling is None else Spelling(tensor(spelling.characters), tensor(spelling.rows))
    tokens = Tokens(tensor(words), tensor(casing), tensor(lengths), spelled)
    return Batch(tokens, tensor(labels), tensor(positions))
