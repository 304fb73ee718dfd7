"""Training options that are plain values rather than objects to build."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from unroll.checks import check_choice, check_least, check_seed
from unroll.data.pretrained import pretrained_folder
from unroll.data.vectors.files import find_vectors

MatmulPrecision = Literal["high", "highest"]


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training, next to its model, optimizer, scheduler and trainer.

    Args:
        seed: of the initial weights, the order of the batches and dropout.
        batch_size: maximum number of sequences in a batch.
        batch_tokens: maximum number of tokens in a batch, padding included; None for no limit.
        vectors: path or name of a file of pretrained word vectors that initialise the word embeddings, see
            `find_vectors`; None for random ones.
        pretrained: what a network begins with: the name of a folder in ``pretrained/``, or the path of one; None for
            random weights. A baseline ignores it.
        patience: number of epochs without a better validation score after which training stops.
        checkpoint_steps: number of optimizer steps between two checkpoints; there is also one after every epoch.
        threads: number of PyTorch threads in each process.
        matmul_precision: of float32 products on a GPU, those of cuDNN's recurrent layers too: `high` rounds factors
            to TF32, with which scores differ by about 1e-3 from those in float64, `highest` does not. A CPU never does.
    """

    seed: int
    batch_size: int
    batch_tokens: int | None
    vectors: str | None
    patience: int
    checkpoint_steps: int
    threads: int
    matmul_precision: MatmulPrecision = "high"
    pretrained: str | None = None

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        check_least(1, batch_size=self.batch_size, patience=self.patience)
        check_least(1, checkpoint_steps=self.checkpoint_steps, threads=self.threads)
        check_least(1, "no limit", batch_tokens=self.batch_tokens)
        check_choice("matmul_precision", self.matmul_precision, get_args(MatmulPrecision))
        if self.vectors is not None:
            find_vectors(self.vectors)
        if self.pretrained is not None:
            pretrained_folder(self.pretrained)
            if self.vectors is not None:
                raise ValueError(
                    f"pretrained={self.pretrained} and vectors={self.vectors}: both are initial vectors of words; "
                    "accepted: one of the two"
                )


def is_baseline(config: Mapping[str, Any]) -> bool:
    """Whether the `model` of a configuration is a baseline, which is not trained as networks are."""
    return bool(config["model"]["_target_"].startswith("unroll.baselines."))


def without_device(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the device of its trainer, on which neither results nor checkpoints depend.

    The same training on another device is the same but for rounding: it is no reason to train again, and it can go on.
    """
    if not isinstance(trainer := config.get("trainer"), Mapping):
        return dict(config)
    return {**config, "trainer": {key: value for key, value in trainer.items() if key != "accelerator"}}
