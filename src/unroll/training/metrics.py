"""The validation scores of each task, correct over batches and processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from unroll.data.tags import spans
from unroll.data.tokens import IGNORE, Task


class Accuracy(Metric):
    """The share of labels that are right; padding does not count."""

    higher_is_better = True
    correct: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("correct", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """predicted, labels: (B,) or (B, T), with IGNORE at padding."""
        real = labels != IGNORE
        self.correct += (predicted == labels)[real].sum()
        self.total += real.sum()

    def compute(self) -> Tensor:
        return self.correct / self.total


class SubsetAccuracy(Accuracy):
    """The share of sequences whose labels are all right, with none too many."""

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """predicted, labels: bool (B, L)."""
        self.correct += (predicted == labels).all(dim=1).sum()
        self.total += len(labels)


class MicroF1(Metric):
    """F1 of all finds together, whatever they are; 0 where there is nothing to find and nothing found."""

    higher_is_better = True
    correct: Tensor
    predicted: Tensor
    actual: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("correct", "predicted", "actual"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        return 2 * self.correct / (self.predicted + self.actual).clamp(min=1)


class LabelF1(MicroF1):
    """Micro F1 of the labels of sequences."""

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """predicted, labels: bool (B, L)."""
        self.correct += (predicted & labels).sum()
        self.predicted += predicted.sum()
        self.actual += labels.sum()


class EntityF1(MicroF1):
    """Micro F1 of whole entities, as the CoNLL-2003 evaluation counts them."""

    def __init__(self, tag_names: list[str]) -> None:
        super().__init__()
        self.tag_names = tag_names

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """predicted, labels: (B, T), labels with IGNORE at padding."""
        lengths = (labels != IGNORE).sum(dim=1).tolist()
        for guess, gold, length in zip(predicted.tolist(), labels.tolist(), lengths, strict=True):
            guessed, true = self._spans(guess[:length]), self._spans(gold[:length])
            self.correct += len(guessed & true)
            self.predicted += len(guessed)
            self.actual += len(true)

    def _spans(self, tags: list[int]) -> set[tuple[str, int, int]]:
        return set(spans([self.tag_names[tag] for tag in tags]))


def validation_metrics(task: Task, label_names: list[str]) -> dict[str, Metric]:
    """Name to metric; the last one is the score that models are chosen by."""
    if task == "labeling":
        return {"val/accuracy": Accuracy(), "val/f1": EntityF1(label_names)}
    if task == "multilabel":
        return {"val/accuracy": SubsetAccuracy(), "val/f1": LabelF1()}
    return {"val/accuracy": Accuracy()}
