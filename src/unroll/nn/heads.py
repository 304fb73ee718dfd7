"""Heads: label scores V s + c from the encoder's outputs, and the loss, labels and probabilities from scores."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from unroll.data.tokens import Posterior, Task
from unroll.nn.crf import LinearChainCRF, iob2_constraints
from unroll.nn.dropout import VariationalDropout
from unroll.nn.pooling import Pooling, build_pooling


class Head(nn.Module):
    """Base class: (outputs: (B, T, O), final: (B, O), lengths: (B,)) → scores, (B, L) or, for tokens, (B, T, L).

    Labels are (B,) for classification, bool (B, L) for multilabel and (B, T), -100 at padding, for labels of tokens.
    Unless a subclass defines it otherwise, there is one label per sequence or token, independent of the others.
    """

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """Mean negative log-likelihood per label, a scalar."""
        return cross_entropy(scores.flatten(0, -2), labels.flatten())

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """Most probable labels."""
        return scores.argmax(dim=-1)

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """Probability of each label, in the shape of the scores."""
        return scores.softmax(dim=-1)

    def posterior(self, scores: Tensor, lengths: Tensor) -> Posterior[Tensor]:
        """The probabilities, and for labels that depend on each other how they do."""
        return Posterior(self.probabilities(scores, lengths))


class ClassificationHead(Head):
    """One label per sequence, ŷ = softmax(V s + c), from the pooled outputs of size `input_size`."""

    def __init__(self, input_size: int, num_labels: int, pooling: Pooling = "last", dropout: float = 0.0) -> None:
        super().__init__()
        self.pooling = build_pooling(pooling, input_size)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.pooling.output_size, num_labels)

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        return self.output(self.dropout(self.pooling(outputs, final, lengths)))  # (B, L)


class MultilabelHead(ClassificationHead):
    """Any number of labels per sequence, each independent of the others, ŷ = sigmoid(V s + c).

    The loss is the mean over sequences and labels. The labels with a probability above 0.5 are predicted.
    """

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(scores, labels.to(scores.dtype))

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores > 0

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores.sigmoid()


class SoftmaxHead(Head):
    """One label per token, each independent of the others, ŷᵢ = softmax(V sᵢ + c)."""

    def __init__(self, input_size: int, label_names: list[str], dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = VariationalDropout(dropout)
        self.output = nn.Linear(input_size, len(label_names))

    def forward(self, outputs: Tensor, final: Tensor, lengths: Tensor) -> Tensor:
        return self.output(self.dropout(outputs))  # (B, T, L)


class CRFHead(SoftmaxHead):
    """One label per token, with whole label sequences scored by a conditional random field (Lample et al. 2016).

    With `is_iob2` decoded sequences are valid IOB2, otherwise any label may follow any other. Probabilities are the
    marginals. With `constrained_loss` invalid sequences have zero probability in the loss and the marginals too.
    """

    def __init__(
        self,
        input_size: int,
        label_names: list[str],
        dropout: float = 0.0,
        constrained_loss: bool = False,
        is_iob2: bool = True,
    ) -> None:
        super().__init__(input_size, label_names, dropout)
        constraints = iob2_constraints(label_names) if is_iob2 else None
        self.crf = LinearChainCRF(len(label_names), constraints, constrained_loss)

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        return self.crf.loss(scores, labels, lengths)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return self.crf.decode(scores, lengths)

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return self.crf.marginals(scores, lengths)

    def posterior(self, scores: Tensor, lengths: Tensor) -> Posterior[Tensor]:
        return self.crf.posterior(scores, lengths)


SEQUENCE_HEADS: dict[Task, Callable[[int, int, Pooling, float], Head]] = {
    "classification": ClassificationHead,
    "multilabel": MultilabelHead,
}
LABELING_HEADS: dict[str, Callable[[int, list[str], float], Head]] = {
    "softmax": SoftmaxHead,
    "crf": CRFHead,
    "constrained_crf": partial(CRFHead, constrained_loss=True),
}
TAGGING_HEADS = LABELING_HEADS | dict.fromkeys(["crf", "constrained_crf"], partial(CRFHead, is_iob2=False))
