import numpy as np
import pytest
import torch

from tests.tiny import random_model
from unroll.data.prepared import PreparedData
from unroll.training.inference import label_probabilities


def alone(data: PreparedData, name: str, index: int) -> np.ndarray:
    """The model's probabilities of one sequence, straight from the arrays."""
    split, model = data.split("test"), random_model(data, name).model
    tokens = slice(split.offsets[index], split.offsets[index + 1])
    words, casing = (torch.tensor(np.array(ids[tokens]), dtype=torch.long)[None] for ids in (split.words, split.casing))
    with torch.no_grad():
        scores = model(words, casing, torch.tensor([words.shape[1]]))[0].double().numpy()
    odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("name", ["fcnn", "elman", "bilstm"])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_probabilities_of_sequences_are_in_the_splits_order_whatever_the_batch_size(
    name: str, batch_size: int, reviews: PreparedData
) -> None:
    split = reviews.split("test")
    found = label_probabilities(random_model(reviews, name).model, split, batch_size)
    assert len(found) == len(split)
    assert len({row.tobytes() for row in found}) > 5
    for index, row in enumerate(found):
        assert row.shape == (2,) and row.dtype == np.float64
        np.testing.assert_allclose(row.sum(), 1, atol=1e-12)
        np.testing.assert_allclose(row, alone(reviews, name, index), atol=1e-5)


@pytest.mark.parametrize("name", ["fcnn", "elman", "bilstm"])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_probabilities_of_tokens_are_in_the_splits_order_whatever_the_batch_size(
    name: str, batch_size: int, entities: PreparedData
) -> None:
    split = entities.split("test")
    found = label_probabilities(random_model(entities, name).model, split, batch_size)
    assert len(found) == len(split)
    for index, rows in enumerate(found):
        assert rows.shape == (split.lengths[index], 5) and rows.dtype == np.float64
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_allclose(rows, alone(entities, name, index), atol=1e-5)


def test_nothing_is_dropped_even_from_a_model_in_training(reviews: PreparedData) -> None:
    model, split = random_model(reviews, "bilstm").model, reviews.split("test")
    expected = label_probabilities(model, split, 8)
    found = label_probabilities(model.train(), split, 8)
    np.testing.assert_array_equal(found, expected)
