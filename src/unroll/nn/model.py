"""The whole network: tokens in, label scores out."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unroll.data.tokens import Task, Tokens
from unroll.nn.characters import CharacterEncoder
from unroll.nn.embedding import TokenEmbedding
from unroll.nn.encoder import Encoder
from unroll.nn.heads import LABELING_HEADS, SEQUENCE_HEADS, Head
from unroll.nn.pooling import Pooling


class SequenceModel(nn.Module):
    """Embedding, encoder, and the head that the task asks for.

    Args:
        vocabulary_size, alphabet_size, label_names, task: of the dataset.
        encoder: called with (input_size, hidden_size), gives an `Encoder`.
        characters: called with the alphabet's size, gives an encoder of spellings; None leaves spelling out.
        pooling: how a sequence is summed up where its labels are the whole sequence's; labeling has no use for it.
        head: how labeling scores the labels of a sequence; the other tasks have no use for it.
        dropout: on the embeddings and before the head, one mask a sequence.
        word_dropout: the share of words that training replaces by `<unk>`.

    Raises:
        ValueError: a part refuses its values.
    """

    head: Head

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
        self.encoder = encoder(self.embedding.output_size, hidden_size)
        size = self.encoder.output_size
        if task in SEQUENCE_HEADS:
            self.head = SEQUENCE_HEADS[task](size, len(label_names), pooling, dropout)
        elif head not in LABELING_HEADS:
            raise ValueError(f"head={head!r}; accepted: {', '.join(LABELING_HEADS)}")
        else:
            self.head = LABELING_HEADS[head](size, label_names, dropout)

    @property
    def reads_characters(self) -> bool:
        return self.embedding.characters is not None

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def forward(self, tokens: Tokens) -> Tensor:
        """tokens of (B, T) → scores: (B, L), or (B, T, L) for labeling."""
        outputs, final = self.encoder(self.embedding(tokens), tokens.lengths)
        return self.head(outputs, final, tokens.lengths)

    def save(self, folder: Path) -> None:
        """Write the weights into `folder`."""
        save_file(self.state_dict(), folder / "weights.safetensors")

    def load(self, folder: Path) -> None:
        """Take the weights from `folder`, and be ready to answer."""
        self.load_state_dict(load_file(folder / "weights.safetensors"))
        self.eval()
