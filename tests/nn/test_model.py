from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from unroll.data.encoding import PADDING
from unroll.data.source import Task
from unroll.data.text import Casing
from unroll.nn import GRU, LSTM, Elman, FeedForwardEncoder, RecurrentEncoder, SequenceModel

ENCODERS: dict[str, Callable[[int, int], nn.Module]] = {
    "fcnn": FeedForwardEncoder,
    "elman": partial(RecurrentEncoder, cell=partial(Elman, activation="sigmoid")),
    "gru": partial(RecurrentEncoder, cell=GRU, num_layers=2),
    "bilstm": partial(RecurrentEncoder, cell=LSTM, bidirectional=True),
}


def make(task: Task, encoder: str) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(20, 3, task, ENCODERS[encoder], embedding_size=6, casing_size=2, hidden_size=5)


def make_batch(lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    words, casing = torch.randint(1, 20, (len(lengths), max(lengths))), torch.ones(len(lengths), max(lengths))
    for row, length in enumerate(lengths):
        words[row, length:], casing[row, length:] = PADDING, Casing.PADDING
    return words, casing.long(), torch.tensor(lengths)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_classification_gives_one_row_of_scores_a_sequence(encoder: str) -> None:
    assert make("classification", encoder)(*make_batch([4, 1, 7])).shape == (3, 3)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_labeling_gives_one_row_of_scores_a_token(encoder: str) -> None:
    assert make("labeling", encoder)(*make_batch([4, 1, 7])).shape == (3, 7, 3)


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_classification_scores_do_not_depend_on_the_batch(encoder: str, pooling: str) -> None:
    model = make("classification", encoder).eval()
    model.head.pooling = pooling
    words, casing, lengths = make_batch([4, 1, 7])
    together = model(words, casing, lengths)
    for i, length in enumerate([4, 1, 7]):
        alone = model(words[i : i + 1, :length], casing[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(together[i], alone[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_labeling_scores_do_not_depend_on_the_batch(encoder: str) -> None:
    model = make("labeling", encoder).eval()
    words, casing, lengths = make_batch([4, 1, 7])
    together = model(words, casing, lengths)
    for i, length in enumerate([4, 1, 7]):
        alone = model(words[i : i + 1, :length], casing[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(together[i, :length], alone[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("task", ["classification", "labeling"])
def test_every_parameter_learns(task: Task) -> None:
    model = make(task, "bilstm")
    words, casing, lengths = make_batch([4, 1, 7])
    logits = model(words, casing, lengths)
    labels = torch.zeros(logits.shape[:-1], dtype=torch.long)
    model.head.loss(logits, labels).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []
