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


class PartlyTrained(nn.Embedding):
    """An embedding of V words of which only some are trained: gradients, moments and checkpoints have no others.

    Args:
        words: the embedding, from which the other vectors are kept.
        trained: (S,) the words that are trained, increasing, with PADDING. In training mode no other may occur.
    """

    def __init__(self, words: nn.Embedding, trained: Tensor) -> None:
        vectors = words.weight.detach()
        super().__init__(len(trained), vectors.shape[1], PADDING, _weight=vectors[trained])
        self.others = vectors  # (V, E)
        self.rows = torch.full((len(vectors),), -1)  # (V,), of the weight (S, E); -1: not there
        self.rows[trained] = torch.arange(len(trained))

    def forward(self, words: Tensor) -> Tensor:
        """words: (B, T) → (B, T, E)."""
        rows = self.rows[words]
        if self.training:
            return super().forward(rows)
        vectors = super().forward(rows.clamp(min=0))
        return torch.where((rows < 0)[..., None], embedding(words, self.others), vectors)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "PartlyTrained":
        # To another device or type. They are not buffers, because ddp sends those to all processes in each step.
        self.others, self.rows = fn(self.others), fn(self.rows)
        super()._apply(fn, recurse)
        return self

    def whole(self) -> nn.Embedding:
        """An embedding with the vectors of all words."""
        vectors = self.others.clone()
        vectors[self.rows >= 0] = self.weight.detach()
        return nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=PADDING)
