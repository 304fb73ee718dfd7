"""Heads: from the encoder's vectors to scores of labels, V s + c, and what follows from scores."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from unroll.data.tokens import Task
from unroll.nn.constraints import iob2_constraints
from unroll.nn.crf import LinearChainCRF
from unroll.nn.dropout import VariationalDropout
from unroll.nn.pooling import Pooling, build_pooling


class Head(Protocol):
    """What every head does.

    Scores are (B, L) of sequences or (B, T, L) of tokens. Labels are (B,), or bool (B, L) where a sequence has any
    number of them, or (B, T).
    """

    def __call__(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        """outputs: (B, T, O), final: (B, O), lengths: (B,) → scores."""
        ...

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """The mean negative log-likelihood of a label, -100 at padding; a scalar."""
        ...

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The best labels."""
        ...

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """Of each label, as scores are shaped."""
        ...


class SequenceHead(nn.Module):
    """Scores of the whole sequence's labels; what they mean is a subclass's own."""

    def __init__(self, input_size: int, num_labels: int, pooling: Pooling = "last", dropout: float = 0.0) -> None:
        super().__init__()
        self.pooling = build_pooling(pooling, input_size)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.pooling.output_size, num_labels)

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        scores: Tensor = self.output(self.dropout(self.pooling(outputs, final, lengths)))  # (B, L)
        return scores


class ClassificationHead(SequenceHead):
    """One distribution over labels, ŷ = softmax(V s + c)."""

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        return cross_entropy(scores, labels)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores.argmax(dim=1)

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores.softmax(dim=1)


class MultilabelHead(SequenceHead):
    """A probability of each label by itself, ŷ = sigmoid(V s + c): a sequence may have none, one or several.

    The loss is the mean over sequences and labels; a label is given where its probability is above 0.5.
    """

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(scores, labels.to(scores.dtype))

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores > 0

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores.sigmoid()


class SoftmaxHead(nn.Module):
    """A distribution over labels at every step, ŷᵢ = softmax(V sᵢ + c), each step by itself."""

    def __init__(self, input_size: int, label_names: list[str], dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = VariationalDropout(dropout)
        self.output = nn.Linear(input_size, len(label_names))

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        scores: Tensor = self.output(self.dropout(outputs))  # (B, T, L)
        return scores

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        return cross_entropy(scores.flatten(0, 1), labels.flatten())

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores.argmax(dim=2)

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores.softmax(dim=2)


class CRFHead(SoftmaxHead):
    """A distribution over whole sequences of labels: scores of steps and of transitions (Lample et al. 2016).

    Decoding keeps to IOB2: an inside tag only goes on with what stands before it. Probabilities are the marginals.

    Args:
        constrained_loss: whether training too gives no probability to sequences that are not IOB2.
    """

    def __init__(
        self, input_size: int, label_names: list[str], dropout: float = 0.0, constrained_loss: bool = False
    ) -> None:
        super().__init__(input_size, label_names, dropout)
        self.crf = LinearChainCRF(len(label_names), iob2_constraints(label_names), constrained_loss)

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        return self.crf.loss(scores, labels, lengths)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return self.crf.decode(scores, lengths)

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return self.crf.marginals(scores, lengths)


SEQUENCE_HEADS: dict[Task, Callable[[int, int, Pooling, float], Head]] = {
    "classification": ClassificationHead,
    "multilabel": MultilabelHead,
}
LABELING_HEADS: dict[str, Callable[[int, list[str], float], Head]] = {
    "softmax": SoftmaxHead,
    "crf": CRFHead,
    "constrained_crf": partial(CRFHead, constrained_loss=True),
}
