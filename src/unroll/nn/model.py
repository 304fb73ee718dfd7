"""The whole network: tokens in, label scores out."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from unroll.nn.embedding import TokenEmbedding
from unroll.nn.encoder import Encoder
from unroll.nn.heads import ClassificationHead, LabelingHead
from unroll.nn.pooling import Pooling


class SequenceModel(nn.Module):
    """Embedding, encoder, and the head that the task asks for.

    Args:
        vocabulary_size, num_labels, task: of the dataset.
        encoder: called with (input_size, hidden_size), gives an `Encoder`.
        pooling: how classification sums up a sequence; labeling has no use for it.
        dropout: on the embeddings and before the head.
        word_dropout: the share of words that training replaces by `<unk>`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_labels: int,
        task: Literal["classification", "labeling"],
        encoder: Callable[[int, int], Encoder],
        embedding_size: int = 100,
        casing_size: int = 8,
        hidden_size: int = 128,
        pooling: Pooling = "last",
        dropout: float = 0.3,
        word_dropout: float = 0.05,
    ) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(vocabulary_size, embedding_size, casing_size, word_dropout, dropout)
        self.encoder = encoder(self.embedding.output_size, hidden_size)
        size = self.encoder.output_size
        self.head: ClassificationHead | LabelingHead
        if task == "classification":
            self.head = ClassificationHead(size, num_labels, pooling, dropout)
        else:
            self.head = LabelingHead(size, num_labels, dropout)

    def forward(self, words: Tensor, casing: Tensor, lengths: Tensor) -> Tensor:
        """words, casing: (B, T), lengths: (B,) → logits (B, L) for classification, (B, T, L) for labeling."""
        outputs, final = self.encoder(self.embedding(words, casing), lengths)
        return self.head(outputs, final, lengths)
