"""How far the output feels each token."""

import numpy as np
import pytest
import torch

from tests.tiny import random_model
from unroll.data.batches import collate
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.explaining import gradients, reading
from unroll.inference.explaining.explain import explain, explain_data
from unroll.inference.explaining.gradients import gradient_norms, mean_sensitivity, sensitivity
from unroll.inference.explaining.reading import read_vectors
from unroll.inference.predictor import Predictor
from unroll.nn import SequenceModel

H = 1e-5


def network(data: PreparedData, name: str) -> SequenceModel:
    model = random_model(data, name).model
    assert isinstance(model, SequenceModel)
    with torch.no_grad():  # not saturated
        for parameter in model.parameters():
            parameter.mul_(0.3)
    return model


@pytest.mark.parametrize("name", ["fcnn", "elman", "gru", "lstm", "bilstm", "awd_lstm", "bilstm_char_crf"])
@pytest.mark.parametrize("task", ["classification", "labeling"])
def test_it_is_the_norm_of_finite_differences(name: str, task: Task, prepared: dict[Task, PreparedData]) -> None:
    model = network(prepared[task], name).double()
    length, size = 4, model.embedding.output_size
    x = torch.randn(1, length, size, dtype=torch.float64)
    label, step = torch.tensor([1]), torch.tensor([2])

    found = gradient_norms(model, x, torch.tensor([length]), label, step)

    moves = H * torch.eye(length * size, dtype=torch.float64).reshape(-1, length, size)
    with torch.no_grad():
        both = [read_vectors(model, x + sign * moves, torch.full((len(moves),), length)).scores for sign in (1, -1)]
    ends = [it[:, 2, 1] if task == "labeling" else it[:, 1] for it in both]
    slopes = ((ends[0] - ends[1]) / (2 * H)).reshape(length, size)
    torch.testing.assert_close(found[0], slopes.norm(dim=1), rtol=1e-5, atol=1e-8)
    assert found.max() > 1e-3


@pytest.mark.parametrize("task", ["classification", "labeling", "multilabel"])
def test_the_mean_over_texts_is_that_of_each_text_by_distance(
    task: Task, prepared: dict[Task, PreparedData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH_TOKENS", 40)
    monkeypatch.setattr(gradients, "BATCH_TOKENS", 40)
    data = prepared[task]
    trained, split = random_model(data, "bilstm"), data.split("test")
    model = trained.model
    assert isinstance(model, SequenceModel)

    found = explain_data(Predictor(trained), data)

    values: dict[int, list[float]] = {}
    for i in range(len(split)):
        tokens = collate(split, np.array([i])).tokens
        with torch.no_grad():
            scores = model(tokens)[0]
            labels = scores.argmax(dim=-1).reshape(-1)
            norms = sensitivity(model, model.embedding(tokens), labels)  # (1, T) or (T, T)
        for step, row in enumerate(norms.tolist(), start=norms.shape[1] - len(norms)):
            for position, value in enumerate(row):
                values.setdefault(step - position, []).append(value)
    assert found.texts == len(split)
    assert found.distances.tolist() == sorted(values)
    assert found.counts.tolist() == [len(values[it]) for it in sorted(values)]
    np.testing.assert_allclose(found.means, [np.mean(values[it]) for it in sorted(values)], rtol=1e-3)


def test_of_a_long_labelled_text_some_tokens_stand_for_all(
    entities: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "STEPS", 2)
    split = entities.split("test")
    found = mean_sensitivity(network(entities, "lstm"), split)
    assert found.counts[found.distances == 0] == np.minimum(split.lengths, 2).sum()


def test_without_a_backward_direction_no_later_token_is_felt(entities: PreparedData) -> None:
    one_way, both_ways = (explain(Predictor(random_model(entities, it)), ["a", "b", "c"]) for it in ("lstm", "bilstm"))
    assert (np.triu(one_way.sensitivity, 1) == 0).all()
    assert (np.triu(both_ways.sensitivity, 1)[np.triu_indices(3, 1)] > 0).all()


def test_fewer_texts_are_spread_over_the_split(reviews: PreparedData) -> None:
    model, split = network(reviews, "gru"), reviews.split("test")
    assert mean_sensitivity(model, split, texts=3).texts == 3
    assert mean_sensitivity(model, split, texts=1000).texts == len(split)
    with pytest.raises(ValueError, match="texts=0; accepted: 1 or more"):
        mean_sensitivity(model, split, texts=0)
    with pytest.raises(ValueError, match="a split without texts"):
        mean_sensitivity(model, split.head(0))


def test_an_elman_network_forgets_what_an_lstm_keeps(reviews: PreparedData) -> None:
    """With weights as they are before training, and the forget gates open."""
    found = {}
    for name in ("elman", "lstm"):
        torch.manual_seed(0)
        model = network(reviews, name)
        for module in model.encoder.modules():
            if isinstance(module, torch.nn.LSTM | torch.nn.RNN):
                module.reset_parameters()
        if name == "lstm":
            with torch.no_grad():
                model.encoder.forward_cells[0].loop.bias_ih_l0[8:16] = 4  # i, f, g, o of size 8
        x = torch.zeros(1, 40, model.embedding.output_size)
        norms = gradient_norms(model, x, torch.tensor([40]), torch.tensor([0]), torch.tensor([39]))[0]
        found[name] = (norms[0] / norms[-1]).item()
    assert found["elman"] < 1e-3 < 0.01 < found["lstm"]
