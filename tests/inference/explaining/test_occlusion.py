"""The influence of each token."""

import numpy as np
import pytest
import torch

from tests.tiny import random_model
from unroll.data.prepared import PreparedData
from unroll.data.tokens import UNKNOWN, Casing, Task
from unroll.inference.explaining import reading
from unroll.inference.explaining.explain import explain
from unroll.inference.explaining.explanation import log_odds
from unroll.inference.explaining.occlusion import hidden_vector, influence
from unroll.inference.predictor import Predictor
from unroll.nn import SequenceModel


def test_a_hidden_token_is_what_the_model_reads_of_an_unknown_word(entities: PreparedData) -> None:
    model = random_model(entities, "bilstm").model  # without characters
    assert isinstance(model, SequenceModel)
    expected = torch.cat([model.embedding.words.weight[UNKNOWN], model.embedding.casing.weight[Casing.LOWER]])
    assert torch.equal(hidden_vector(model), expected)


@pytest.mark.parametrize("name", ["gru", "bilstm_char_crf"])
@pytest.mark.parametrize("task", ["classification", "labeling", "multilabel"])
def test_it_is_what_the_log_odds_lose_with_an_unknown_word(
    name: str, task: Task, prepared: dict[Task, PreparedData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH_TOKENS", 9)
    data = prepared[task]
    predictor = Predictor(random_model(data, name))
    tokens = ["Ada", "met", "us", "today"]
    unknown = "\N{CYRILLIC SMALL LETTER ZHE}"  # neither a word nor a character of the corpus

    def text(tokens: list[str]) -> str | list[str]:
        return tokens if task == "labeling" else " ".join(tokens)

    found = explain(predictor, text(tokens))

    for hidden in range(len(tokens)):
        other = explain(predictor, text([*tokens[:hidden], unknown, *tokens[hidden + 1 :]]))
        lost = log_odds(found.probabilities, task) - log_odds(other.probabilities, task)
        if task == "labeling":
            np.testing.assert_allclose(found.influence[:, hidden], lost[np.arange(4), found.labels], atol=2e-4)
        else:
            np.testing.assert_allclose(found.influence[hidden], lost, atol=2e-4)


def test_the_rows_for_labels_of_tokens_are_the_outputs() -> None:
    whole = np.array([[0.5, 0.5], [0.5, 0.5]])
    occluded = np.full((2, 2, 2), 0.5)
    occluded[1, 0] = [0.2, 0.8]  # token 1 hidden changes the output of token 0
    found = influence(whole, occluded, np.array([0, 0]), "labeling")
    np.testing.assert_allclose(found, [[0, np.log(4)], [0, 0]], atol=1e-12)
