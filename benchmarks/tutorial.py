"""A text classifier as in tutorials: random padded batches, PackedSequence, Adam."""

import time
from itertools import chain, islice, repeat

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

from benchmarks.timing import Run
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import PADDING

Example = tuple[list[int], int]


class Classifier(nn.Module):
    """Embedding, bidirectional LSTM on a PackedSequence, and a linear layer on the last state of each direction."""

    def __init__(self, words: int, labels: int, embedding_size: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, embedding_size, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.loop = nn.LSTM(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * hidden_size, labels)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """words: (B, T), lengths: (B,) → logits: (B, L)."""
        x = self.dropout(self.embedding(words))
        _, (state, _) = self.loop(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        logits: Tensor = self.output(self.dropout(torch.cat([state[0], state[1]], dim=1)))
        return logits


def training(network: Classifier, split: EncodedSplit, batch_size: int, limit: int) -> Run:
    """A run of the next `limit` batches of endless random epochs; the unit is a token."""
    examples: list[Example] = [
        (split.table.words[split.tokens[start:end]].tolist(), int(label))
        for start, end, label in zip(split.offsets, split.offsets[1:], split.labels, strict=False)
    ]
    loader: DataLoader[Example] = DataLoader(examples, batch_size, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    batches = chain.from_iterable(repeat(loader))
    optimizer = torch.optim.Adam(network.parameters())

    def run() -> float:
        tokens, start = 0, time.perf_counter()
        for words, lengths, labels in islice(batches, limit):
            optimizer.zero_grad()
            cross_entropy(network(words, lengths), labels).backward()
            optimizer.step()
            tokens += int(lengths.sum())
        return (time.perf_counter() - start) / tokens

    return run


def collate(examples: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Padded words (B, T), lengths (B,) and labels (B,)."""
    words = [torch.tensor(words) for words, _ in examples]
    lengths = torch.tensor([len(sequence) for sequence in words])
    return pad_sequence(words, batch_first=True), lengths, torch.tensor([label for _, label in examples])
