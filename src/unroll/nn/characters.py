"""A word's vector from its characters: endings, digits and capitals speak where the word itself is unknown."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unroll.data.tokens import PADDING
from unroll.nn.encoder import RecurrentEncoder
from unroll.nn.lstm import LSTM


class CharacterEncoder(Protocol):
    """What both networks here do: U words in, (U, C) character ids right-padded with 0; vectors out, (U, O).

    No word's vector depends on how much padding there is, or on the other words. O is `output_size`.
    """

    output_size: int

    def __call__(self, characters: Tensor) -> Tensor: ...


class CharacterTable(nn.Module):
    """The vectors of all characters, that of padding zero; uniform within ±√(3/E) at the start (He et al. 2015).

    Dropout falls on the table: a number of a character's vector is dropped in all words of the batch or in none.

    Args:
        alphabet_size: how many character ids there are, padding's among them.
        embedding_size: E, of a character's vector.
        dropout: the share of the numbers that training drops.

    Raises:
        ValueError: a size is below 1, or `dropout` is not a share.
    """

    def __init__(self, alphabet_size: int, embedding_size: int, dropout: float) -> None:
        super().__init__()
        _check_sizes(alphabet_size=alphabet_size, embedding_size=embedding_size)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}; accepted: 0 to below 1")
        self.embedding = nn.Embedding(alphabet_size, embedding_size, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        bound = (3 / embedding_size) ** 0.5
        nn.init.uniform_(self.embedding.weight[PADDING + 1 :], -bound, bound)

    def forward(self) -> Tensor:
        """→ (A, E)."""
        alphabet = torch.arange(self.embedding.num_embeddings, device=self.embedding.weight.device)
        return self.dropout(self.embedding(alphabet))  # looked up, as no gradient then reaches padding


class CharacterCNN(nn.Module):
    """A convolution over the characters, and for each filter its largest value in the word (Ma and Hovy 2016).

    s = maxᵢ Σₖ Uₖ xᵢ₊ₖ + b, over the windows of `width` characters around every character i of the word; beyond the
    word's ends x is zero. Uₖ starts Glorot-uniform, b at zero.

    Fast in two ways. A convolution of embeddings is a sum of lookups in K tables, Uₖ x for every character x, which
    are made once a batch. And gradients reach only the windows that win, so the search for them needs none. The
    price: dropout is the same for all occurrences of a character in a batch, where the paper draws it for each.

    Args:
        alphabet_size: how many character ids there are, padding's 0 among them.
        embedding_size, dropout: of the characters' vectors.
        filters: F, how many; the size of the output.
        width: K, the characters that a filter sees.

    Raises:
        ValueError: a size is below 1, or `dropout` is not a share.
    """

    def __init__(
        self, alphabet_size: int, embedding_size: int = 30, filters: int = 50, width: int = 3, dropout: float = 0.5
    ) -> None:
        super().__init__()
        _check_sizes(filters=filters, width=width)
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
        winners = _largest_windows(tables, padded)  # (U, F)
        result = self.bias
        for k, table in enumerate(tables):
            result = result + table.gather(0, padded.gather(1, winners + k))  # (U, F)
        return result


@torch.no_grad()
def _largest_windows(tables: Tensor, padded: Tensor) -> Tensor:
    """tables: (K, A, F), padded: (U, C + K - 1) → where each word's window of the largest sum begins, (U, F)."""
    width = len(tables)
    windows = padded.unfold(1, width, 1)  # (U, C, K)
    tables = tables.clone()
    tables[(width - 1) // 2, PADDING] = -torch.inf  # a window around padding never wins
    sums = F.embedding(windows[:, :, 0], tables[0])  # (U, C, F)
    for k in range(1, width):
        sums += F.embedding(windows[:, :, k], tables[k])
    return sums.max(dim=1).indices  # argmax is slower


class CharacterLSTM(nn.Module):
    """The last states of an LSTM that reads the characters forwards and of one backwards (Lample et al. 2016).

    Args:
        alphabet_size: how many character ids there are, padding's 0 among them.
        embedding_size, dropout: of the characters' vectors.
        hidden_size: H, of each direction.

    Raises:
        ValueError: a size is below 1, or `dropout` is not a share.
    """

    def __init__(
        self, alphabet_size: int, embedding_size: int = 25, hidden_size: int = 25, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.characters = CharacterTable(alphabet_size, embedding_size, dropout)
        self.encoder = RecurrentEncoder(embedding_size, hidden_size, LSTM, bidirectional=True)
        self.output_size = self.encoder.output_size

    def forward(self, characters: Tensor) -> Tensor:
        """characters: (U, C) ids, right-padded with 0 → (U, 2H)."""
        table = self.characters()  # (A, E)
        lengths = (characters != PADDING).sum(dim=1).clamp(min=1)  # (U,); no character is one of padding
        _, final = self.encoder(F.embedding(characters, table), lengths)
        return final


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}={size}; accepted: 1 or more")
