"""The interface of the baselines."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import Task


class Baseline(ABC):
    """A model that is fitted once, without epochs. Fitting is deterministic: equal data give equal files."""

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
        """Number of fitted parameters."""

    @abstractmethod
    def fit(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        """Fit the parameters on `train`; `validation` is for the choice of hyperparameters."""

    @abstractmethod
    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        """Return one prediction per sequence, in the order of the split; at most `batch_size` are computed at once."""

    def predict_chains(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        """The same, with `following` and `transitions` if the labels of tokens depend on each other."""
        return self.predict(split, batch_size)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the fitted parameters to `folder`."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read the parameters that `save` wrote."""


def check_array(name: str, array: np.ndarray, *shape: int) -> None:
    """Raise ValueError if an array that was read does not consist of numbers, or has another shape."""
    if array.shape != shape or array.dtype.kind not in "if":
        raise ValueError(f"{name} is {array.dtype} {array.shape}; accepted: numbers of the shape {shape}")
    if np.isnan(array).any():
        raise ValueError(f"{name} is not a number at {np.flatnonzero(np.isnan(array))[0]}")
