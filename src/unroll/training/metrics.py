"""The validation score of each task, correct over batches and processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from unroll.data.batching import IGNORE
from unroll.data.source import Task
from unroll.data.tags import spans


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


class EntityF1(Metric):
    """Micro F1 of whole entities, as the CoNLL-2003 evaluation counts them; 0 where there are none."""

    higher_is_better = True
    correct: Tensor
    predicted: Tensor
    actual: Tensor

    def __init__(self, tag_names: list[str]) -> None:
        super().__init__()
        self.tag_names = tag_names
        for name in ("correct", "predicted", "actual"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """predicted, labels: (B, T), labels with IGNORE at padding."""
        lengths = (labels != IGNORE).sum(dim=1).tolist()
        for guess, gold, length in zip(predicted.tolist(), labels.tolist(), lengths, strict=True):
            guessed, true = self._spans(guess[:length]), self._spans(gold[:length])
            self.correct += len(guessed & true)
            self.predicted += len(guessed)
            self.actual += len(true)

    def compute(self) -> Tensor:
        return 2 * self.correct / (self.predicted + self.actual).clamp(min=1)

    def _spans(self, tags: list[int]) -> set[tuple[str, int, int]]:
        return set(spans([self.tag_names[tag] for tag in tags]))


def validation_metrics(task: Task, label_names: list[str]) -> dict[str, Metric]:
    """Name to metric; the last one is the score that models are chosen by."""
    metrics: dict[str, Metric] = {"val/accuracy": Accuracy()}
    if task == "labeling":
        metrics["val/f1"] = EntityF1(label_names)
    return metrics
