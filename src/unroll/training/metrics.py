"""Validation scores of each task, accumulated over batches and processes."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from unroll.data.tags import spans
from unroll.data.tokens import IGNORE, Task


class Ratio(nn.Module):
    """Base class of the scores: a ratio of two counts, 0 where the denominator is 0.

    Not a `torchmetrics.Metric`, because importing that takes seconds. It is a module, so that the counts move to the
    device of the network together with the module that it is part of; they are not saved in checkpoints.
    """

    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long), persistent=False)

    def count(self, predicted: Tensor, labels: Tensor) -> tuple[Tensor | int, Tensor | int]:
        """The numerator and the denominator of one batch."""
        raise NotImplementedError

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add a batch to the counts."""
        for index, value in enumerate(self.count(predicted, labels)):
            self.counts[index] += value

    def compute(self) -> Tensor:
        """The score, as a float tensor of shape (), over the batches of all processes since the last `reset`."""
        total = self.counts.clone()
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(total)
        return total[0] / total[1].clamp(min=1)

    def reset(self) -> None:
        """Reset the counts."""
        self.counts.zero_()


class Accuracy(Ratio):
    """The fraction of labels that are correct."""

    def count(self, predicted: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """predicted, labels: (B,) or (B, T), labels with IGNORE at padding."""
        real = labels != IGNORE
        return (predicted == labels)[real].sum(), real.sum()


class SubsetAccuracy(Ratio):
    """The fraction of sequences whose set of labels is exactly correct."""

    def count(self, predicted: Tensor, labels: Tensor) -> tuple[Tensor, int]:
        """predicted, labels: bool (B, L)."""
        return (predicted == labels).all(dim=1).sum(), len(labels)


class LabelF1(Ratio):
    """Micro-averaged F1 of the labels of sequences."""

    def count(self, predicted: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """predicted, labels: bool (B, L)."""
        return 2 * (predicted & labels).sum(), predicted.sum() + labels.sum()


class EntityF1(Ratio):
    """Micro-averaged F1 of entities, each correct if its type, first and last token are (as in CoNLL-2003)."""

    def __init__(self, tag_names: list[str]) -> None:
        super().__init__()
        self.tag_names = tag_names

    def count(self, predicted: Tensor, labels: Tensor) -> tuple[int, int]:
        """predicted, labels: (B, T), labels with IGNORE at padding."""
        doubled_correct = entities = 0
        lengths = (labels != IGNORE).sum(dim=1).tolist()
        for guess, gold, length in zip(predicted.tolist(), labels.tolist(), lengths, strict=True):
            found, true = self._spans(guess[:length]), self._spans(gold[:length])
            doubled_correct += 2 * len(found & true)
            entities += len(found) + len(true)
        return doubled_correct, entities

    def _spans(self, tags: list[int]) -> set[tuple[str, int, int]]:
        return set(spans([self.tag_names[tag] for tag in tags]))


def validation_metrics(task: Task, label_names: list[str]) -> dict[str, Ratio]:
    """The scores of a task by name; the best epoch is chosen by the last one."""
    if task == "labeling":
        return {"val/accuracy": Accuracy(), "val/f1": EntityF1(label_names)}
    if task == "multilabel":
        return {"val/accuracy": SubsetAccuracy(), "val/f1": LabelF1()}
    return {"val/accuracy": Accuracy()}
