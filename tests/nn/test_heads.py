import numpy as np
import pytest
import torch

from unroll.data.batching import IGNORE
from unroll.nn.heads import ClassificationHead, LabelingHead
from unroll.nn.pooling import pool


def negative_log_likelihood(logits: np.ndarray, label: int) -> float:
    return float(np.log(np.exp(logits).sum()) - logits[label])


def test_classification_scores_are_linear_in_the_pooled_outputs() -> None:
    torch.manual_seed(0)
    outputs, final, lengths = torch.randn(3, 5, 4), torch.randn(3, 4), torch.tensor([5, 2, 1])
    for pooling in ("last", "mean", "max"):
        head = ClassificationHead(4, 2, pooling, dropout=0.5).eval()
        expected = pool(outputs, final, lengths, pooling) @ head.output.weight.T + head.output.bias
        torch.testing.assert_close(head(outputs, final, lengths), expected)


def test_classification_loss_is_the_mean_over_sequences() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 2])
    losses = [negative_log_likelihood(row.numpy(), int(label)) for row, label in zip(logits, labels, strict=True)]
    loss = ClassificationHead(4, 3, "last", 0.0).loss(logits, labels)
    assert loss.item() == pytest.approx(np.mean(losses), abs=1e-6)


def test_labeling_scores_are_linear_in_every_output() -> None:
    torch.manual_seed(0)
    outputs, final, lengths = torch.randn(3, 5, 4), torch.randn(3, 4), torch.tensor([5, 2, 1])
    head = LabelingHead(4, 6, dropout=0.5).eval()
    expected = torch.stack([row @ head.output.weight.T + head.output.bias for row in outputs])
    torch.testing.assert_close(head(outputs, final, lengths), expected)


def test_labeling_loss_is_the_mean_over_real_tokens() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4)
    labels = torch.tensor([[3, 0, 1], [2, IGNORE, IGNORE]])
    losses = [
        negative_log_likelihood(logits[i, step].numpy(), int(labels[i, step]))
        for i, step in [(0, 0), (0, 1), (0, 2), (1, 0)]
    ]
    assert LabelingHead(4, 4, 0.0).loss(logits, labels).item() == pytest.approx(np.mean(losses), abs=1e-6)


def test_heads_drop_only_in_training() -> None:
    torch.manual_seed(0)
    inputs = (torch.randn(3, 5, 4), torch.randn(3, 4), torch.tensor([5, 2, 1]))
    for head in (ClassificationHead(4, 2, "last", 0.5), LabelingHead(4, 2, 0.5)):
        torch.testing.assert_close(head.eval()(*inputs), head.eval()(*inputs))
        assert not torch.allclose(head.train()(*inputs), head.eval()(*inputs))


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="pooling='first'; accepted: last, mean, max"):
        ClassificationHead(4, 2, "first", 0.0)  # type: ignore[arg-type]
