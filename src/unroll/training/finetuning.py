"""How a network that begins with pretrained weights is trained: what learns how fast, and from when on."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from unroll.arguments import check_arguments
from unroll.checks import check_least
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import PADDING, UNKNOWN
from unroll.nn import SequenceModel
from unroll.nn.embedding import PartlyTrained
from unroll.training.options import TrainOptions

HEAD = 1 << 30  # its layer, above all of the encoder
_LAYER = re.compile(r"encoder\.(?:forward_cells|backward_cells|norms)\.(\d+)\.")


@dataclass(frozen=True)
class FineTuning:
    """Options of fine-tuning; a file of ``conf/finetune``.

    A network consists of these layers, from the top: the head, each layer of the encoder, and the embedding.

    Args:
        layer_decay: a layer has the learning rate of the one above it, divided by this (Howard and Ruder 2018, section
            3.2); the head has the optimizer's.
        gradual_unfreezing: in the first epoch the head is trained alone, and in each later one the next layer as well
            (section 3.3).
        freeze_embeddings: the vectors of the words keep the values that they begin with.

    Raises:
        ValueError: `layer_decay` is below 1.
    """

    layer_decay: float = 1.0
    gradual_unfreezing: bool = False
    freeze_embeddings: bool = False

    def __post_init__(self) -> None:
        check_least(1, **{"finetune.layer_decay": self.layer_decay})

    @classmethod
    def of(cls, config: Mapping[str, Any] | None, options: TrainOptions) -> "FineTuning":
        """Check a configuration; None stands for the default values.

        Raises:
            ValueError: a key or value is not accepted, or the training does not begin with anything pretrained.
        """
        check_arguments(cls, config or {}, "finetune")
        made = cls(**config or {})
        if made != cls() and options.pretrained is None and options.vectors is None:
            key, value = next((key, value) for key, value in asdict(made).items() if value != getattr(cls, key))
            raise ValueError(
                f"finetune.{key}={value}, but the network begins with random weights; accepted: with pretrained=NAME "
                "or vectors=FILE, or finetune=none"
            )
        return made

    def freeze(self, model: SequenceModel, train: EncodedSplit) -> None:
        """Leave out of the training the vectors of words that it does not change, until `melt`.

        These are the words that `train` does not contain, which can be most of those that are pretrained.
        """
        words = model.embedding.words
        if self.freeze_embeddings:
            words.weight.requires_grad_(False)
            return
        occurs = train.word_counts(words.num_embeddings) > 0
        occurs[[PADDING, UNKNOWN]] = True  # word dropout draws <unk>
        if not occurs.all():
            model.embedding.words = PartlyTrained(words, torch.from_numpy(np.flatnonzero(occurs)))

    def melt(self, model: SequenceModel) -> None:
        """Make the network what it was before `freeze`, with the trained weights."""
        words = model.embedding.words
        if isinstance(words, PartlyTrained):
            model.embedding.words = words.whole()
        model.requires_grad_(True)

    def groups(self, model: SequenceModel) -> list[dict[str, Any]]:
        """The trained parameters as the optimizer takes them, from the top.

        A group has, for the two methods below, its `layer`, counted from the head, and the `divisor` of its learning
        rate. Without these options there is one group.
        """
        is_divided = self.layer_decay != 1 or self.gradual_unfreezing
        divided = layers(model) if is_divided else [[it for it in model.parameters() if it.requires_grad]]
        return [
            {"params": layer, "layer": depth, "divisor": self.layer_decay**depth} for depth, layer in enumerate(divided)
        ]

    def slow_down(self, optimizer: Optimizer) -> None:
        """Set the learning rates of an optimizer that was built with `groups`."""
        for group in optimizer.param_groups:
            group["lr"] /= group["divisor"]

    def drop_gradients(self, optimizer: Optimizer, epoch: int) -> None:
        """Delete the gradients of the layers that are still frozen in an epoch, counted from 0, before a step.

        An optimizer passes over parameters without a gradient, which neither change nor decay. They are not frozen by
        `requires_grad`, because the processes of ddp agree on it when the training begins.
        """
        if self.gradual_unfreezing:
            for group in optimizer.param_groups:
                for parameter in group["params"] if group["layer"] > epoch else ():
                    parameter.grad = None


def layer_of(parameter: str) -> int:
    """The layer of the encoder that a parameter belongs to, from 0; -1 for the embedding, HEAD for the head."""
    if numbered := _LAYER.match(parameter):
        return int(numbered[1])
    return {"head": HEAD, "encoder": 0, "embedding": -1}[parameter.partition(".")[0]]


def layers(model: SequenceModel) -> list[list[nn.Parameter]]:
    """The trained parameters of each layer that has any, from the head down to the embedding."""
    found: dict[int, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found.setdefault(layer_of(name), []).append(parameter)
    return [found[level] for level in sorted(found, reverse=True)]
