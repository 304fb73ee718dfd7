"""Token vectors from words, capitalisation and characters."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from unroll.checks import check_below_one
from unroll.data.tokens import PADDING, UNKNOWN, Casing, Tokens
from unroll.nn.characters import CharacterEncoder
from unroll.nn.dropout import VariationalDropout


class TokenEmbedding(nn.Module):
    """Concatenates the vectors of a token's word, its casing (Collobert et al. 2011) and, optionally, its characters.

    The arguments are those of `SequenceModel`; casing_size=0 leaves casings out.
    """

    def __init__(
        self,
        vocabulary_size: int,
        alphabet_size: int,
        embedding_size: int,
        casing_size: int = 0,
        characters: Callable[[int], CharacterEncoder] | None = None,
        word_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if embedding_size < 1 or casing_size < 0:
            raise ValueError(
                f"embedding_size={embedding_size}, casing_size={casing_size}; accepted: at least 1, at least 0"
            )
        check_below_one(word_dropout=word_dropout)
        self.word_dropout = word_dropout
        self.words = nn.Embedding(vocabulary_size, embedding_size, padding_idx=PADDING)
        self.casing = nn.Embedding(len(Casing), casing_size, padding_idx=Casing.PADDING)
        self.characters = characters(alphabet_size) if characters else None
        self.output_size = embedding_size + casing_size + (self.characters.output_size if self.characters else 0)
        self.dropout = VariationalDropout(dropout)
        nn.init.normal_(self.words.weight[PADDING + 1 :], std=embedding_size**-0.5)

    def forward(self, tokens: Tokens[Tensor]) -> Tensor:
        """tokens: words of shape (B, T) → (B, T, output_size). With `characters` they need a spelling."""
        words = tokens.words
        if self.training and self.word_dropout:
            dropped = torch.rand(words.shape, device=words.device) < self.word_dropout
            words = words.masked_fill(dropped & (words != PADDING), UNKNOWN)
        parts = [self.words(words), self.casing(tokens.casing)]
        if self.characters:
            if tokens.spelling is None:
                raise ValueError("tokens.spelling=None; accepted: a batch made with characters=True")
            vectors = self.characters(tokens.spelling.characters)  # (U, F)
            parts.append(embedding(tokens.spelling.rows, vectors))  # (B, T, F)
        return self.dropout(torch.cat(parts, dim=2))
