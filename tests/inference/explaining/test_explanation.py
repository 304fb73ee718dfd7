"""The arrays of an explanation fit together."""

import numpy as np
import pytest

from tests.tiny import random_model
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.explaining.explain import explain
from unroll.inference.explaining.explanation import log_odds
from unroll.inference.predictor import Predictor
from unroll.nn import SequenceModel

TEXT = "so very good and old"


@pytest.mark.parametrize("name", ["gru", "bilstm", "bilstm_char_crf"])
@pytest.mark.parametrize("task", ["classification", "labeling", "multilabel", "tagging"])
def test_shapes_are_as_documented(
    name: str, task: Task, prepared: dict[Task, PreparedData], tags: PreparedData
) -> None:
    data = {**prepared, "tagging": tags}[task]
    found = explain(Predictor(random_model(data, name)), TEXT)
    T, L = 5, len(data.label_names)
    per_token = task in ("labeling", "tagging")
    assert found.is_per_token == per_token
    assert found.label_names == data.label_names
    assert found.labels.shape == ((T,) if per_token else (1,))
    assert found.probabilities.shape == ((T, L) if per_token else (L,))
    for array in (found.prefix_scores, found.prefix_probabilities, found.contributions, found.prefix_log_odds):
        assert array.shape == (T, L)
    assert found.state_changes.shape == (T,)
    assert found.sensitivity.shape == ((T, T) if per_token else (T,))
    assert found.influence.shape == ((T, T) if per_token else (T, L))


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_the_last_prefix_is_the_text_and_the_changes_sum_to_its_scores(
    task: Task, prepared: dict[Task, PreparedData]
) -> None:
    trained = random_model(prepared[task], "gru")
    assert isinstance(trained.model, SequenceModel)
    found = explain(Predictor(trained), TEXT)
    bias = trained.model.head.output.bias.detach().numpy()
    np.testing.assert_allclose(found.prefix_probabilities[-1], found.probabilities, atol=1e-6)
    np.testing.assert_allclose(found.contributions + bias, found.prefix_scores, atol=1e-5)
    np.testing.assert_allclose(found.contribution_changes.sum(axis=0), found.contributions[-1], rtol=1e-4, atol=1e-5)


def test_states_of_one_direction_change_from_step_to_step(reviews: PreparedData) -> None:
    trained = random_model(reviews, "elman")
    model = trained.model
    assert isinstance(model, SequenceModel)
    states = []
    model.encoder.forward_cells[0].register_forward_hook(lambda cell, given, result: states.append(result))

    found = explain(Predictor(trained), TEXT)

    one = next(it for it in states if len(it) == 1)[0].detach().numpy()  # (T, H)
    before = np.concatenate([np.zeros_like(one[:1]), one[:-1]])
    np.testing.assert_allclose(found.state_changes, np.linalg.norm(one - before, axis=1), rtol=1e-5)


def test_the_labels_and_probabilities_are_those_of_the_predictor(prepared: dict[Task, PreparedData]) -> None:
    for task, data in prepared.items():
        predictor = Predictor(random_model(data, "bilstm_char_crf"))
        found = explain(predictor, TEXT)
        (answer,) = predictor.predict([TEXT], probabilities=True)
        names = [found.label_names[it] for it in found.labels]
        if task == "labeling":
            assert names == answer["labels"]
            chances = found.probabilities[np.arange(5), found.labels]
            np.testing.assert_allclose(chances, answer["probabilities"], atol=1e-9)
        else:
            np.testing.assert_allclose(found.probabilities, [*answer["probabilities"].values()], atol=1e-9)
            assert names == [max(answer["probabilities"], key=answer["probabilities"].get)]


def test_log_odds_keep_their_digits_next_to_one() -> None:
    sure = np.array([[1 - 1e-18, 1e-18], [0.5, 0.5]])
    np.testing.assert_allclose(log_odds(sure, "classification"), [[41.446532, -41.446532], [0, 0]])
    np.testing.assert_allclose(log_odds(np.array([0.9, 0.5]), "multilabel"), [np.log(9), 0])
    assert np.isfinite(log_odds(np.array([1.0, 0.0]), "multilabel")).all()
    assert np.isfinite(log_odds(np.array([1.0]), "classification")).all()
