"""Token vectors from words, capitalisation and characters."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from unroll.data.tokens import PADDING, UNKNOWN, Casing, Tokens
from unroll.nn.characters import CharacterEncoder
from unroll.nn.dropout import VariationalDropout


class TokenEmbedding(nn.Module):
    """Concatenates the vectors of a token's word, its casing (Collobert et al. 2011) and, optionally, its characters.

    Args:
        vocabulary_size, alphabet_size: numbers of words and of characters, including padding and `<unk>`.
        embedding_size, casing_size: sizes of the vectors of a word and of a casing; casing_size=0 leaves casings out.
        characters: constructor of a `CharacterEncoder`, called with `alphabet_size`; None leaves characters out.
        word_dropout: probability of replacing a word by `<unk>` in training, which trains the vector of `<unk>`.
        dropout: probability of dropping a feature of a sequence in training.

    Raises:
        ValueError: a dropout is not in [0, 1), or a size is out of range.
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
        if not 0 <= word_dropout < 1:
            raise ValueError(f"word_dropout={word_dropout}; accepted: 0 to below 1")
        self.word_dropout = word_dropout
        self.words = nn.Embedding(vocabulary_size, embedding_size, padding_idx=PADDING)
        self.casing = nn.Embedding(len(Casing), casing_size, padding_idx=Casing.PADDING)
        self.characters = characters(alphabet_size) if characters else None
        self.output_size = embedding_size + casing_size + (self.characters.output_size if self.characters else 0)
        self.dropout = VariationalDropout(dropout)
        nn.init.normal_(self.words.weight[PADDING + 1 :], std=embedding_size**-0.5)

    def forward(self, tokens: Tokens) -> Tensor:
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
