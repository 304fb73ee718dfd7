"""The output after every token is that of the text that ends there."""

import numpy as np
import pytest
import torch

from tests.tiny import random_model
from unroll.data.batches import collate
from unroll.data.prepared import PreparedData
from unroll.data.tokens import TOKEN_TASKS, Task
from unroll.inference.explaining import prefixes, reading
from unroll.inference.explaining.explain import explain
from unroll.inference.explaining.reading import is_causal
from unroll.inference.predictor import Predictor
from unroll.inference.trained_model import TrainedModel
from unroll.nn import SequenceModel
from unroll.nn.pooling import POOLINGS, build_pooling

TOKENS = ["Ada", "and", "Ravi", "met", "us", "in", "Paris"]
ONE_WAY = ["elman", "gru", "lstm", "qrnn"]
BOTH_WAYS = ["fcnn", "bilstm", "awd_lstm", "bilstm_char_crf"]


def last_outputs(trained: TrainedModel, tokens: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The scores and probabilities of a text; of its last token, if tokens are labelled."""
    text = tokens if trained.schema.task in TOKEN_TASKS else " ".join(tokens)
    _, split = Predictor(trained).encode(text)
    network = trained.model
    assert isinstance(network, SequenceModel)
    batch = collate(split, np.array([0]), characters=network.reads_characters).tokens
    with torch.no_grad():
        scores = network(batch)
        found = network.head.probabilities(scores.double(), batch.lengths)
    last = (0, -1) if trained.schema.task in TOKEN_TASKS else 0
    return scores[last].numpy(), found[last].numpy()


@pytest.mark.parametrize("name", [*ONE_WAY, *BOTH_WAYS])
@pytest.mark.parametrize("task", ["classification", "labeling", "multilabel"])
def test_each_is_that_of_the_prefix_alone(
    name: str, task: Task, prepared: dict[Task, PreparedData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH_TOKENS", 12)  # several batches
    trained = random_model(prepared[task], name)
    assert isinstance(trained.model, SequenceModel)
    assert is_causal(trained.model) == (name in ONE_WAY)

    found = explain(Predictor(trained), TOKENS if task == "labeling" else " ".join(TOKENS))

    assert found.tokens == TOKENS
    alone = [last_outputs(trained, TOKENS[:end]) for end in range(1, len(TOKENS) + 1)]
    np.testing.assert_allclose(found.prefix_scores, [scores for scores, _ in alone], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.prefix_probabilities, [it for _, it in alone], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_one_pass_gives_what_a_batch_of_prefixes_gives(
    pooling: str, reviews: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(reviews, "gru").model
    assert isinstance(model, SequenceModel)
    model.head.pooling = build_pooling(pooling, model.encoder.output_size)  # type: ignore[arg-type]
    model.head.output = torch.nn.Linear(model.head.pooling.output_size, 3)
    x = torch.randn(1, 9, model.embedding.output_size)
    calls: list[torch.Size] = []
    model.encoder.register_forward_hook(lambda encoder, given, _: calls.append(given[0].shape))

    one_pass = prefixes.read_prefixes(model, x)
    monkeypatch.setattr(prefixes, "is_causal", lambda model: False)
    batch = prefixes.read_prefixes(model, x)

    assert [shape[0] for shape in calls] == [1, 9]
    for found, expected in zip(one_pass, batch, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
