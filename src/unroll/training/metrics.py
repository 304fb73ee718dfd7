"""Validation scores of each task, accumulated over batches and processes.

A batch is counted on its device, and nothing waits for that before `compute`.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import pad

from unroll.data.tags import OUTSIDE
from unroll.data.tokens import IGNORE, Task


class Ratio(nn.Module):
    """A score: the ratio of two counts, 0 where the denominator is 0. `count` returns both for a batch.

    Not a `torchmetrics.Metric`, because importing that takes seconds. It is a module, so that the counts move to the
    device of the network together with the module that it is part of; they are not saved in checkpoints.
    """

    counts: Tensor

    def __init__(self, count: Callable[[Tensor, Tensor], Sequence[Tensor | int]]) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long), persistent=False)

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add a batch to the counts."""
        for index, value in enumerate(self.count(predicted, labels)):
            self.counts[index].add_(value)

    def compute(self) -> Tensor:
        """The score, as a float tensor of shape (), over the batches of all processes since the last `reset`."""
        total = self.total()
        return total[0] / total[1].clamp(min=1)

    def total(self) -> Tensor:
        """The sum of the counts of all processes."""
        total = self.counts.clone()
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(total)
        return total

    def reset(self) -> None:
        self.counts.zero_()


class Mean(nn.Module):
    """The weighted mean of scalars, such as the losses of batches.

    Like `Ratio` it is neither a `torchmetrics.Metric`, which checks each value for NaN and so waits for a GPU, nor
    saved in checkpoints unless `is_saved`. A value that is not finite makes the mean so.
    """

    weighted_sum: Tensor
    weight: Tensor

    def __init__(self, is_saved: bool = False) -> None:
        super().__init__()
        self.register_buffer("weighted_sum", torch.zeros(()), persistent=is_saved)
        self.register_buffer("weight", torch.zeros(()), persistent=is_saved)

    def update(self, value: Tensor, weight: Tensor | int = 1) -> None:
        self.weighted_sum += value * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """The mean, as a tensor of shape (), over all processes since the last `reset`; NaN without a value."""
        sums = torch.stack([self.weighted_sum, self.weight])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(sums)
        return sums[0] / sums[1]

    def reset(self) -> None:
        self.weighted_sum.zero_()
        self.weight.zero_()


class MacroF1(Ratio):
    """The mean F1 of the L labels of tokens, over those that occur as gold or as predicted; 0 if none does."""

    def __init__(self, num_labels: int) -> None:
        super().__init__(partial(label_counts, num_labels))
        self.counts = torch.zeros(3, num_labels, dtype=torch.long)  # right, predicted and gold

    def compute(self) -> Tensor:
        right, predicted, gold = self.total()
        occurs = (predicted + gold) > 0
        return (2 * right[occurs] / (predicted + gold)[occurs]).sum() / occurs.sum().clamp(min=1)


def accuracy(predicted: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The fraction of labels that are correct. predicted, labels: (B,) or (B, T), labels with IGNORE at padding."""
    real = labels != IGNORE
    return ((predicted == labels) & real).sum(), real.sum()  # a mask as an index would wait for the device


def subset_accuracy(predicted: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """The fraction of sequences whose set of labels is exactly correct. predicted, labels: bool (B, L)."""
    return (predicted == labels).all(dim=1).sum(), len(labels)


def label_f1(predicted: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Micro-averaged F1 of the labels of sequences. predicted, labels: bool (B, L)."""
    return 2 * (predicted & labels).sum(), predicted.sum() + labels.sum()


def label_counts(num_labels: int, predicted: Tensor, labels: Tensor) -> list[Tensor]:
    """How often each label is right, predicted and gold, (L,) each. predicted, labels: (B, T) as for `accuracy`."""
    real = labels != IGNORE

    def count(of: Tensor, where: Tensor) -> Tensor:  # as bincount(of[where]), which would wait for a GPU
        counts = torch.zeros(num_labels + 1, dtype=torch.long, device=labels.device)
        index = of.masked_fill(~where, num_labels).flatten()
        return counts.scatter_add_(0, index, torch.ones_like(index))[:num_labels]

    return [count(labels, real & (predicted == labels)), count(predicted, real), count(labels, real)]


class EntityF1(nn.Module):
    """Counts for the micro-averaged F1 of entities, each correct if its type, first and last token are.

    (predicted, labels), (B, T) each, labels with IGNORE at padding, → twice the number of correct entities, and the
    number of predicted and of gold ones together. Entities are those of `unroll.data.tags.spans`.

    Args:
        tag_names: IOB2 tags by label id.
    """

    types: Tensor
    continuing: Tensor

    def __init__(self, tag_names: list[str]) -> None:
        super().__init__()
        parts = [tag.partition("-") for tag in tag_names]
        names = [OUTSIDE, *dict.fromkeys(name for prefix, _, name in parts if prefix != OUTSIDE)]
        types = [0 if prefix == OUTSIDE else names.index(name, 1) for prefix, _, name in parts]
        self.register_buffer("types", torch.tensor(types), persistent=False)  # 0 for O
        self.register_buffer("continuing", torch.tensor([prefix == "I" for prefix, _, _ in parts]), persistent=False)

    def forward(self, predicted: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        real = labels != IGNORE
        kinds, firsts, ends = zip(*(self._entities(tags, real) for tags in (predicted, labels)), strict=True)
        correct = ends[0] & ends[1] & (kinds[0] == kinds[1]) & (firsts[0] == firsts[1])
        return 2 * correct.sum(), ends[0].sum() + ends[1].sum()

    def _entities(self, tags: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The type of each token, 0 outside entities, the first step of its entity, and whether it is the last."""
        tags = torch.where(real, tags, 0)
        types = torch.where(real, self.types[tags], 0)  # (B, T)
        continues = self.continuing[tags] & (types > 0) & (types == pad(types, (1, -1)))
        steps = torch.arange(tags.shape[1], device=tags.device)
        first = torch.where(continues, 0, steps).cummax(dim=1).values
        return types, first, (types > 0) & ~pad(continues, (-1, 1))


def validation_metrics(task: Task, label_names: list[str]) -> dict[str, Ratio]:
    """The scores of a task by name; the best epoch is chosen by the last one."""
    if task == "labeling":
        return {"val/accuracy": Ratio(accuracy), "val/f1": Ratio(EntityF1(label_names))}
    if task == "tagging":
        return {"val/f1": MacroF1(len(label_names)), "val/accuracy": Ratio(accuracy)}
    if task == "multilabel":
        return {"val/accuracy": Ratio(subset_accuracy), "val/f1": Ratio(label_f1)}
    return {"val/accuracy": Ratio(accuracy)}
