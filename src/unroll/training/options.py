"""The settings of a training that are no part to build."""

from dataclasses import dataclass

from unroll.data.vectors import check_vectors_file


@dataclass(frozen=True)
class TrainOptions:
    """How a model is trained, next to its optimiser, schedule and trainer.

    Args:
        batch_size: the most sequences of a batch.
        batch_tokens: the most tokens of a batch, padding included; None for no limit.
        vectors: a file of pretrained word vectors to start from, if any.
        patience: epochs without a better validation score before training stops.
        checkpoint_steps: steps between two checkpoints within an epoch; each epoch ends with one.
        threads: of PyTorch, in each process.
    """

    seed: int
    batch_size: int
    batch_tokens: int | None
    vectors: str | None
    patience: int
    checkpoint_steps: int
    threads: int

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}; accepted: 0 or more")
        for name in ("batch_size", "patience", "checkpoint_steps", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; accepted: 1 or more")
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise ValueError(f"batch_tokens={self.batch_tokens}; accepted: 1 or more, or null for no limit")
        if self.vectors is not None:
            check_vectors_file(self.vectors)
