import numpy as np
import pytest
import torch

from tests.tiny import random_model
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.tokens import Spelling, Task, Tokens
from unroll.inference.predict import predict
from unroll.nn import SequenceModel
from unroll.nn.heads import CRFHead, MultilabelHead

MODELS = ["fcnn", "elman", "bilstm", "bilstm_char_crf"]


def answer_alone(model: SequenceModel, split: EncodedSplit, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The best labels of one sequence and all labels' probabilities, straight from the arrays."""
    rows = np.array(split.tokens[split.offsets[index] : split.offsets[index + 1]])
    words, casing = (torch.from_numpy(ids[rows])[None] for ids in (split.table.words, split.table.casing))
    spelling = Spelling(torch.from_numpy(split.table.spell(rows)), torch.arange(len(rows))[None])
    lengths = torch.tensor([len(rows)])
    with torch.no_grad():
        scores = model(Tokens(words, casing, lengths, spelling))  # (1, L) or (1, T, L)
    if isinstance(model.head, CRFHead):
        return model.head.crf.decode(scores, lengths)[0], model.head.crf.marginals(scores, lengths)[0]
    if isinstance(model.head, MultilabelHead):
        probabilities = 1 / (1 + (-scores[0].double()).exp())
        return probabilities > 0.5, probabilities
    return scores[0].argmax(dim=-1), scores[0].double().softmax(dim=-1)


@pytest.mark.parametrize("task", ["classification", "labeling", "multilabel"])
@pytest.mark.parametrize("name", MODELS)
def test_answers_are_in_the_split_s_order_whatever_the_batch_size(
    task: Task, name: str, prepared: dict[Task, PreparedData]
) -> None:
    split, model = prepared[task].split("test"), random_model(prepared[task], name).model
    expected = [answer_alone(model, split, index) for index in range(len(split))]
    assert len({probabilities.numpy().tobytes() for _, probabilities in expected}) > 5

    for batch_size in (1, 5, 64):
        found = predict(model, split, batch_size)

        assert len(found) == len(split)
        for (labels, probabilities), (best, distribution) in zip(found, expected, strict=True):
            assert probabilities.dtype == np.float64
            np.testing.assert_array_equal(labels, best)
            np.testing.assert_allclose(probabilities, distribution, atol=1e-4)
            if task != "multilabel":
                np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-12)


def test_a_label_that_is_nearly_certain_leaves_something_for_its_absence(topics: PreparedData) -> None:
    model, split = random_model(topics, "gru").model, topics.split("test")
    with torch.no_grad():
        model.head.output.weight.zero_()
        model.head.output.bias.fill_(20.0)  # whose probability is 1 in float32
    for found in predict(model, split, 8):
        np.testing.assert_allclose(np.log(1 - found.probabilities), -20, rtol=1e-6)


def test_nothing_is_dropped_even_from_a_model_in_training(reviews: PreparedData) -> None:
    model, split = random_model(reviews, "bilstm_char_crf").model, reviews.split("test")
    expected = predict(model, split, 8)
    found = predict(model.train(), split, 8)
    for before, after in zip(expected, found, strict=True):
        np.testing.assert_array_equal(before.probabilities, after.probabilities)
