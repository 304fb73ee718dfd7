"""Heads: from the encoder's vectors to scores of labels, ŷ = softmax(V s + c), and their loss."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unroll.nn.pooling import Pooling, check_pooling, pool


class ClassificationHead(nn.Module):
    """One distribution over labels for the whole sequence."""

    def __init__(self, input_size: int, num_labels: int, pooling: Pooling, dropout: float) -> None:
        super().__init__()
        check_pooling(pooling)
        self.pooling: Pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(input_size, num_labels)

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        """outputs: (B, T, O), final: (B, O), lengths: (B,) → logits (B, L)."""
        return self.output(self.dropout(pool(outputs, final, lengths, self.pooling)))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits: (B, L), labels: (B,) → the mean negative log-likelihood of a sequence's label."""
        return cross_entropy(logits, labels)


class LabelingHead(nn.Module):
    """A distribution over labels at every step, each step by itself."""

    def __init__(self, input_size: int, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(input_size, num_labels)

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        """outputs: (B, T, O) → logits (B, T, L)."""
        return self.output(self.dropout(outputs))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits: (B, T, L), labels: (B, T), -100 at padding → the mean negative log-likelihood of a token's label."""
        return cross_entropy(logits.flatten(0, 1), labels.flatten())
