"""What is explained, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

import unroll
from tests.tiny import random_model, save_baseline, save_random_model
from unroll.data.prepared import PreparedData
from unroll.inference.explaining.explain import explain, explain_data
from unroll.inference.exporting.export import export
from unroll.inference.predictor import Predictor


def test_models_are_named_as_for_load(reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model")
    first = unroll.explain(folder, "not good")
    second = unroll.explain(unroll.load(tmp_path), "not good")
    assert first.tokens == second.tokens == ["not", "good"]
    assert first.probabilities.tolist() == second.probabilities.tolist()
    assert unroll.sensitivity(folder, reviews, texts=4).texts == 4
    assert unroll.sensitivity(folder, reviews, split="train", texts=100).texts == len(reviews.split("train"))
    with pytest.raises(ValueError, match="split='dev'; accepted: train, validation, test"):
        unroll.sensitivity(folder, reviews, split="dev")


def test_a_baseline_and_an_exported_model_are_refused(reviews: PreparedData, tmp_path: Path) -> None:
    export(save_random_model(reviews, tmp_path / "model"), tmp_path / "onnx")
    models = {"Majority": save_baseline(reviews, tmp_path / "baseline", "majority"), "OnnxModel": tmp_path / "onnx"}
    for kind, folder in models.items():
        with pytest.raises(ValueError, match=f"a model of the kind {kind}; accepted: a network with its weights"):
            unroll.explain(folder, "not good")


@pytest.mark.parametrize("text", ["", " ", 3, ("a", "b"), None])
def test_a_text_that_the_model_cannot_use_is_refused(text: object, reviews: PreparedData) -> None:
    with pytest.raises(ValueError, match=r"text is .*; accepted"):
        explain(Predictor(random_model(reviews, "gru")), text)  # type: ignore[arg-type]


def test_other_data_than_that_of_the_training_is_refused(reviews: PreparedData, topics: PreparedData) -> None:
    predictor = Predictor(random_model(reviews, "gru"))
    with pytest.raises(ValueError, match=r"prepared is other data than the model was trained on \(another task, .*;"):
        explain_data(predictor, topics)


def test_of_a_pair_the_separator_is_a_token(reviews: PreparedData) -> None:
    trained = random_model(reviews, "bilstm")
    predictor = Predictor(replace(trained, schema=replace(trained.schema, is_pair=True)))
    assert explain(predictor, ("good", "very old")).tokens == ["good", "<sep>", "very", "old"]


def test_of_given_tokens_the_subwords_are_explained(entities: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(random_model(entities, "bilstm"))
    monkeypatch.setattr("unroll.data.tokenizer.Tokenizer.pieces", lambda self, token: [token[:1], token[1:]])
    found = explain(predictor, ["Ada", "met"])
    assert found.tokens == ["A", "da", "m", "et"]
    assert found.influence.shape == (4, 4)


def test_a_text_of_one_token_is_explained(reviews: PreparedData) -> None:
    found = explain(Predictor(random_model(reviews, "bilstm")), "good")
    assert found.influence.shape == (1, 2)
    assert found.prefix_probabilities[0] == pytest.approx(found.probabilities)
