"""What a network sees of a token: its word and how it is written."""

import torch
from torch import Tensor, nn

from unroll.data.encoding import PADDING, UNKNOWN
from unroll.data.text import Casing


class TokenEmbedding(nn.Module):
    """The word's vector next to its casing's (Collobert et al. 2011).

    Args:
        word_dropout: the share of words that training replaces by `<unk>`, so that `<unk>` means something.

    Raises:
        ValueError: `word_dropout` is not a share, or a size is negative.
    """

    def __init__(
        self, vocabulary_size: int, embedding_size: int, casing_size: int, word_dropout: float, dropout: float
    ) -> None:
        super().__init__()
        if embedding_size < 1 or casing_size < 0:
            raise ValueError(
                f"embedding_size={embedding_size}, casing_size={casing_size}; accepted: at least 1, at least 0"
            )
        if not 0 <= word_dropout < 1:
            raise ValueError(f"word_dropout={word_dropout}; accepted: 0 to below 1")
        self.output_size = embedding_size + casing_size
        self.word_dropout = word_dropout
        self.words = nn.Embedding(vocabulary_size, embedding_size, padding_idx=PADDING)
        self.casing = nn.Embedding(len(Casing), casing_size, padding_idx=Casing.PADDING)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.words.weight[PADDING + 1 :], std=embedding_size**-0.5)

    def forward(self, words: Tensor, casing: Tensor) -> Tensor:
        """words, casing: (B, T) → (B, T, output_size)."""
        if self.training and self.word_dropout:
            dropped = torch.rand(words.shape, device=words.device) < self.word_dropout
            words = words.masked_fill(dropped & (words != PADDING), UNKNOWN)
        return self.dropout(torch.cat([self.words(words), self.casing(casing)], dim=2))
