"""Word vectors from characters, which cover words that are missing from the vocabulary."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unroll.checks import check_below_one, check_least
from unroll.data.tokens import PADDING
from unroll.nn.encoder import RecurrentEncoder
from unroll.nn.lstm import LSTM


class CharacterEncoder(Protocol):
    """Interface of the character encoders: character ids (U, C) of U words, right-padded with 0 → vectors (U, O).

    A word's vector is independent of the padding and of the other words. O is `output_size`.
    """

    output_size: int

    def __call__(self, characters: Tensor) -> Tensor: ...


class CharacterTable(nn.Module):
    """Vectors (A, E) of all characters, initialised uniform within ±√(3/E) (He et al. 2015); that of padding is zero.

    Dropout applies to the table: an element of a character's vector is dropped in all words of a batch or in none.
    """

    def __init__(self, alphabet_size: int, embedding_size: int, dropout: float) -> None:
        super().__init__()
        check_least(1, alphabet_size=alphabet_size, embedding_size=embedding_size)
        check_below_one(dropout=dropout)
        self.embedding = nn.Embedding(alphabet_size, embedding_size, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        bound = (3 / embedding_size) ** 0.5
        nn.init.uniform_(self.embedding.weight[PADDING + 1 :], -bound, bound)

    def forward(self) -> Tensor:
        alphabet = torch.arange(self.embedding.num_embeddings, device=self.embedding.weight.device)
        return self.dropout(self.embedding(alphabet))  # by lookup, so that padding gets no gradient


class CharacterCNN(nn.Module):
    """A convolution over the characters of a word and the maximum of each filter over the word (Ma and Hovy 2016).

    s = maxᵢ Σₖ Uₖ xᵢ₊ₖ + b, over the windows of K (`width`) characters around each character i of the word; x is zero
    outside the word. Uₖ is initialised Glorot-uniform, b to zero.

    The convolution of embeddings is computed as a sum of lookups in K tables, which contain Uₖ x for each character x
    and are computed once per batch. The maximum is searched without gradients, since only its window has one. Hence
    dropout is the same for all occurrences of a character in a batch; the paper draws it for each occurrence.
    """

    def __init__(
        self, alphabet_size: int, embedding_size: int = 30, filters: int = 50, width: int = 3, dropout: float = 0.5
    ) -> None:
        super().__init__()
        check_least(1, filters=filters, width=width)
        self.output_size = filters
        self.characters = CharacterTable(alphabet_size, embedding_size, dropout)
        bound = (6 / (width * embedding_size + filters)) ** 0.5
        self.filters = nn.Parameter(torch.empty(width, embedding_size, filters).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(filters))

    def forward(self, characters: Tensor) -> Tensor:
        """characters: (U, C) ids, right-padded with 0 → (U, F)."""
        width = len(self.filters)
        tables = self.characters() @ self.filters  # (K, A, F)
        padded = F.pad(characters, ((width - 1) // 2, width // 2), value=PADDING)  # (U, C + K - 1)
        best = _largest_windows(tables, padded)  # (U, F)
        if tables.is_cuda:
            return self.bias + window_sums(tables, padded, best)
        result = self.bias
        for k, table in enumerate(tables):
            result = result + table.gather(0, padded.gather(1, best + k))
        return result


def window_sums(tables: Tensor, padded: Tensor, starts: Tensor) -> Tensor:
    """tables: (K, A, F), padded: (U, C + K - 1), starts: (U, F) → Σₖ tables[k, padded[u, starts[u, f] + k], f], (U, F).

    By one lookup in place of 2 K `gather`s, whose gradient a GPU would add by atomic operations: in another order, and
    with other last bits, each time. That of a lookup is sorted first.
    """
    width, alphabet, filters = tables.shape
    offsets = torch.arange(width, device=tables.device)
    characters = padded.gather(1, (starts[:, :, None] + offsets).flatten(1)).unflatten(1, (filters, width))
    places = (characters + alphabet * offsets) * filters + torch.arange(filters, device=tables.device)[:, None]
    return F.embedding(places, tables.reshape(-1, 1)).sum(dim=(2, 3))  # (U, F, K, 1) → (U, F)


@torch.no_grad()
def _largest_windows(tables: Tensor, padded: Tensor) -> Tensor:
    """tables: (K, A, F), padded: (U, C + K - 1) → start of each word's window with the largest sum, (U, F)."""
    width = len(tables)
    windows = padded.unfold(1, width, 1)  # (U, C, K)
    tables = tables.clone()
    tables[(width - 1) // 2, PADDING] = -torch.inf  # excludes the windows around padding
    sums = F.embedding(windows[:, :, 0], tables[0])  # (U, C, F)
    for k in range(1, width):
        sums += F.embedding(windows[:, :, k], tables[k])
    return sums.max(dim=1).indices  # argmax is slower


class CharacterLSTM(nn.Module):
    """The final states of a bidirectional LSTM over the characters of a word (Lample et al. 2016)."""

    def __init__(
        self, alphabet_size: int, embedding_size: int = 25, hidden_size: int = 25, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.characters = CharacterTable(alphabet_size, embedding_size, dropout)
        self.encoder = RecurrentEncoder(embedding_size, hidden_size, LSTM, bidirectional=True)
        self.output_size = self.encoder.output_size

    def forward(self, characters: Tensor) -> Tensor:
        """characters: (U, C) ids, right-padded with 0 → (U, 2H)."""
        lengths = (characters != PADDING).sum(dim=1).clamp(min=1)  # (U,); at least the padding is read
        _, final = self.encoder(F.embedding(characters, self.characters()), lengths)
        return final
