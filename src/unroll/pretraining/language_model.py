"""A language model whose encoder is that of a labeling or classification network."""

import numpy as np
import torch
from torch import Tensor, nn

from unroll.nn import RecurrentEncoder
from unroll.nn.dropout import VariationalDropout
from unroll.nn.embedding import TokenEmbedding
from unroll.nn.model import precision_of
from unroll.pretraining.reading import Passage


class LanguageModel(nn.Module):
    """Predicts each token from those before it, and from those after it if the encoder has a backward direction.

    The states hᵢ of a direction are projected to the size of the word vectors, P hᵢ + q, and the score of word k is
    E_k · (P hᵢ + q) + b_k, with the vectors E of the embedding itself (Press and Wolf 2017). Both directions have the
    same E and b, and projections of their own (Peters et al. 2018). At the beginning b is the logarithm of the words'
    frequencies, so that the first perplexity is about that of a unigram model.

    Args:
        counts: (V,) how often each word occurs.
        dropout: of the states, one mask per window.

    Raises:
        ValueError: a direction of the encoder depends on tokens that the other one reads.
    """

    def __init__(
        self, embedding: TokenEmbedding, encoder: RecurrentEncoder, counts: np.ndarray, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.directions = 2 if encoder.backward_cells else 1
        is_mixed = self.directions == 2 and not encoder.separate
        if is_mixed and (len(encoder.norms) > 1 or isinstance(encoder.norms[0], nn.LayerNorm)):
            raise ValueError(
                f"model.encoder.separate=False, num_layers={len(encoder.norms)}: each direction would see the words "
                "that the other one predicts; accepted: model.encoder.separate=true"
            )
        self.embedding, self.encoder = embedding, encoder
        self.dropout = VariationalDropout(dropout)
        self.size = encoder.output_size // self.directions
        width = embedding.words.embedding_dim
        self.projections = nn.ModuleList(nn.Linear(self.size, width) for _ in range(self.directions))
        shares = torch.from_numpy((counts + 1.0) / (counts + 1.0).sum()).float()
        self.bias = nn.Parameter(shares.log())

    def forward(self, passage: Passage[Tensor]) -> tuple[Tensor, Tensor]:
        """The vectors (N, E) from which words are predicted, and these words (N,); forwards first."""
        tokens = passage.tokens
        with precision_of(self.size, tokens.words.device):
            outputs = self.encoder(self.embedding(tokens), tokens.lengths)[0]  # (B, T, D · H)
        each = self.dropout(outputs).flatten(0, 1).chunk(self.directions, dim=1)
        targets = (passage.forward, passage.backward)[: self.directions]
        parts = zip(each, targets, self.projections, strict=True)
        vectors = [project(states).index_select(0, target.rows) for states, target, project in parts]
        return torch.cat(vectors), torch.cat([target.words for target in targets])
