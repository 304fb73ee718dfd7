"""The network: from tokens to label scores."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from unroll.checks import check_choice
from unroll.data.tokens import Task, Tokens
from unroll.files import whole_file
from unroll.nn.characters import CharacterEncoder
from unroll.nn.embedding import TokenEmbedding
from unroll.nn.encoder import Encoder
from unroll.nn.heads import LABELING_HEADS, SEQUENCE_HEADS, TAGGING_HEADS
from unroll.nn.pooling import Pooling

WEIGHTS = "weights.safetensors"

# Under autocast, a network with fewer units computes in float32 on this type of device. The steps of a small recurrence
# take as long as their kernels take to start, and autocast adds some that convert every weight and every gradient.
FULL_PRECISION_BELOW = {"cuda": 512}


class SequenceModel(nn.Module):
    """Embedding, encoder, and the head of the dataset's task.

    Args:
        vocabulary_size, alphabet_size: numbers of words and of characters, including padding and `<unk>`.
        encoder: constructor of an `Encoder`, called with (input_size, hidden_size).
        embedding_size, casing_size: sizes of the vectors of a word and of a casing.
        characters: constructor of a `CharacterEncoder`, called with `alphabet_size`; None leaves characters out.
        pooling: summary of a sequence; ignored for labels of tokens.
        head: head for labels of tokens; ignored for labels of sequences.
        dropout: probability of dropping a feature of the embeddings and of the encoder's outputs in training.
        word_dropout: probability of replacing a word by `<unk>` in training, which trains the vector of `<unk>`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        alphabet_size: int,
        label_names: list[str],
        task: Task,
        encoder: Callable[[int, int], Encoder],
        embedding_size: int = 100,
        casing_size: int = 8,
        characters: Callable[[int], CharacterEncoder] | None = None,
        hidden_size: int = 128,
        pooling: Pooling = "last",
        head: Literal["softmax", "crf", "constrained_crf"] = "softmax",
        dropout: float = 0.3,
        word_dropout: float = 0.05,
    ) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(
            vocabulary_size, alphabet_size, embedding_size, casing_size, characters, word_dropout, dropout
        )
        self.hidden_size = hidden_size
        self.encoder = encoder(self.embedding.output_size, hidden_size)
        size = self.encoder.output_size
        if task in SEQUENCE_HEADS:
            self.head = SEQUENCE_HEADS[task](size, len(label_names), pooling, dropout)
        else:
            check_choice("head", head, LABELING_HEADS)
            self.head = (TAGGING_HEADS if task == "tagging" else LABELING_HEADS)[head](size, label_names, dropout)

    @property
    def reads_characters(self) -> bool:
        return self.embedding.characters is not None

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def forward(self, tokens: Tokens[Tensor]) -> Tensor:
        """tokens: words of shape (B, T) → scores (B, L), or (B, T, L) for labels of tokens."""
        with precision_of(self.hidden_size, tokens.words.device):
            outputs, final = self.encoder(self.embedding(tokens), tokens.lengths)
            return self.head(outputs, final, tokens.lengths)

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file  # here, so that a network needs torch alone

        with whole_file(folder / WEIGHTS) as temporary:
            save_file(self.state_dict(), temporary)

    def load(self, folder: Path) -> None:
        """Read the weights from `folder` and switch to evaluation mode.

        Raises:
            ValueError: see `check_weights`.
        """
        from safetensors.torch import load_file

        weights = load_file(folder / WEIGHTS)
        check_weights(weights, self.state_dict())
        self.load_state_dict(weights)
        self.eval()


def precision_of(hidden_size: int, device: torch.device) -> AbstractContextManager[object]:
    """A context that leaves autocast where a recurrence of this size is faster without; see FULL_PRECISION_BELOW."""
    kind = device.type
    if hidden_size < FULL_PRECISION_BELOW.get(kind, 0) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def check_weights(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Compare tensors with those of a model; floating-point numbers may have another precision.

    Raises:
        ValueError: a tensor is missing or unknown, has another shape or type, or is not finite.
    """
    if differing := sorted(found.keys() ^ expected.keys()):
        raise ValueError(f"{WEIGHTS} {'has no' if differing[0] in expected else 'has the unknown'} {differing[0]}")
    for name, tensor in found.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.is_floating_point() != wanted.is_floating_point():
            shown = [f"{it.dtype} {tuple(it.shape)}".removeprefix("torch.") for it in (tensor, wanted)]
            raise ValueError(f"{WEIGHTS}: {name} is {shown[0]}; accepted: {shown[1]}")
        if not tensor.isfinite().all() and wanted.isfinite().all():
            raise ValueError(f"{WEIGHTS}: {name} is not finite")
