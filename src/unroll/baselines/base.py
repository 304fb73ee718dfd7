"""What every baseline does."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import Task


class Baseline(ABC):
    """A model that is no network: it is fitted once, without epochs, and the same data give the same bytes.

    Attributes:
        tasks: what it is made for.

    Raises:
        ValueError: the dataset's task is another.
    """

    tasks: ClassVar[tuple[Task, ...]]

    def __init__(self, task: Task, label_names: list[str]) -> None:
        if task not in self.tasks:
            fitting = [f"model={kind.__name__.lower()}" for kind in Baseline.__subclasses__() if task in kind.tasks]
            raise ValueError(
                f"{type(self).__name__} is for {' and '.join(self.tasks)}, and the dataset's task is {task}; "
                f"accepted: {', '.join(fitting)}, or a network, such as model=bilstm"
            )
        self.task: Task = task
        self.label_names = label_names

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """The numbers that fitting found."""

    @abstractmethod
    def fit(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        """Learn from `train`; `validation` is for choosing what cannot be learned there."""

    @abstractmethod
    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        """One answer a sequence, in the split's order; `batch_size` is for models that need batches."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learned into `folder`."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Take what `save` wrote."""
