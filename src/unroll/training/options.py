"""The settings of a training that are no part to build."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainOptions:
    """How a model is trained, next to its optimiser, schedule and trainer.

    Args:
        patience: epochs without a better validation score before training stops.
        checkpoint_steps: steps between two checkpoints within an epoch; each epoch ends with one.
        threads: of PyTorch, in each process.
    """

    seed: int
    batch_size: int
    patience: int
    checkpoint_steps: int
    threads: int

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}; accepted: 0 or more")
        for name in ("batch_size", "patience", "checkpoint_steps", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; accepted: 1 or more")
