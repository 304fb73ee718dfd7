from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.tiny import random_model, save_random_model
from unroll.data.prepared import PreparedData
from unroll.inference.predictor import Predictor


@pytest.fixture(params=["bilstm", "bilstm_char_crf"])
def model_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def review_predictor(model_name: str, reviews: PreparedData, tmp_path: Path) -> Predictor:
    return Predictor.load(save_random_model(reviews, tmp_path / "reviews", model_name))


@pytest.fixture
def entity_predictor(model_name: str, entities: PreparedData, tmp_path: Path) -> Predictor:
    return Predictor.load(save_random_model(entities, tmp_path / "entities", model_name))


@pytest.fixture
def topic_predictor(model_name: str, topics: PreparedData, tmp_path: Path) -> Predictor:
    return Predictor.load(save_random_model(topics, tmp_path / "topics", model_name))


def raw_column(data: PreparedData, column: str) -> list:
    return pq.read_table(data.folder.parent / "raw" / "test.parquet")[column].to_pylist()


@pytest.mark.parametrize("batch_size", [1, 64])
def test_texts_get_the_labels_of_their_prepared_rows(
    batch_size: int, model_name: str, reviews: PreparedData, review_predictor: Predictor
) -> None:
    expected = random_model(reviews, model_name).predict(reviews.split("test"), 8)

    found = review_predictor.predict(raw_column(reviews, "text"), batch_size)

    assert [row["label"] for row in found] == [reviews.label_names[labels] for labels, _ in expected]
    highest = [probabilities.max() for _, probabilities in expected]
    assert len(set(highest)) > 5
    np.testing.assert_allclose([row["probability"] for row in found], highest, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_texts_get_any_number_of_labels_the_most_probable_first(
    batch_size: int, model_name: str, topics: PreparedData, topic_predictor: Predictor
) -> None:
    expected = random_model(topics, model_name).predict(topics.split("test"), 8)

    found = topic_predictor.predict(raw_column(topics, "text"), batch_size)

    assert len({len(row["labels"]) for row in found}) > 1
    for row, (labels, probabilities) in zip(found, expected, strict=True):
        assert list(row["probabilities"]) == topics.label_names
        np.testing.assert_allclose(list(row["probabilities"].values()), probabilities, atol=1e-5)
        order = np.argsort(-probabilities)
        assert row["labels"] == [topics.label_names[i] for i in order if labels[i]]
        assert {name for name, probability in row["probabilities"].items() if probability > 0.5} == {*row["labels"]}


@pytest.mark.parametrize("batch_size", [1, 64])
def test_tokens_get_the_labels_of_their_prepared_rows(
    batch_size: int, model_name: str, entities: PreparedData, entity_predictor: Predictor
) -> None:
    sentences = raw_column(entities, "tokens")
    expected = random_model(entities, model_name).predict(entities.split("test"), 8)

    found = entity_predictor.predict([" ".join(tokens) for tokens in sentences], batch_size)

    assert [row["tokens"] for row in found] == sentences
    assert [row["labels"] for row in found] == [[entities.label_names[i] for i in labels] for labels, _ in expected]


def test_entities_are_what_the_labels_spell(entities: PreparedData, entity_predictor: Predictor) -> None:
    texts = ["<br/> \t".join(tokens) for tokens in raw_column(entities, "tokens")]
    found = entity_predictor.predict(texts)
    assert any(row["entities"] for row in found)
    for row, text in zip(found, texts, strict=True):
        inside = set()
        for entity in row["entities"]:
            tokens = range(entity["start"], entity["end"])
            assert entity["text"] == "<br/> \t".join(row["tokens"][i] for i in tokens)
            assert entity["text"] == text[entity["start_char"] : entity["end_char"]]
            assert all(row["labels"][i].endswith(f"-{entity['type']}") for i in tokens)
            inside |= set(tokens)
        assert [label == "O" for label in row["labels"]] == [i not in inside for i in range(len(row["labels"]))]


@pytest.mark.parametrize("words", [["Zyzzyva", "quux", "!"], ["Ünïcødé", "ж", "漢字", "…"], ["a" * 1000]])
def test_unknown_words_and_characters_are_no_obstacle(
    words: list[str], review_predictor: Predictor, entity_predictor: Predictor
) -> None:
    assert review_predictor.predict([" ".join(words)])[0]["label"] in ("negative", "positive")
    assert entity_predictor.predict([" ".join(words)])[0]["tokens"] == words


def test_unknown_words_differ_by_their_characters_where_these_are_read(
    model_name: str, review_predictor: Predictor
) -> None:
    first, second = review_predictor.predict(["wood", "qqqq"])
    assert (first == pytest.approx(second)) == (model_name == "bilstm")


def test_markup_and_missing_spaces_are_no_words(review_predictor: Predictor) -> None:
    plain, marked_up = review_predictor.predict(["not good , today", "not good,<br />today"])
    assert marked_up == pytest.approx(plain)


def test_casing_is_seen(review_predictor: Predictor) -> None:
    lower, upper = review_predictor.predict(["not", "NOT"])
    assert lower["probability"] != pytest.approx(upper["probability"])


@pytest.mark.parametrize("text", ["", "  \n", "<br>"])
def test_an_empty_text_is_refused(
    text: str, review_predictor: Predictor, entity_predictor: Predictor, topic_predictor: Predictor
) -> None:
    for predictor in (review_predictor, entity_predictor, topic_predictor):
        with pytest.raises(ValueError, match=r"text 1 is empty: .*; accepted: text with at least one token"):
            predictor.predict(["good", text])


def test_no_texts_give_no_predictions(
    review_predictor: Predictor, entity_predictor: Predictor, topic_predictor: Predictor
) -> None:
    assert review_predictor.predict([]) == entity_predictor.predict([]) == topic_predictor.predict([]) == []


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no trained model in"):
        Predictor.load(tmp_path)


@pytest.mark.parametrize(
    "texts", ["good", b"good", {"text": ["good"]}, pd.DataFrame({"text": ["good"]}), np.array("good")]
)
def test_what_is_no_list_of_texts_is_refused(review_predictor: Predictor, texts: Any) -> None:
    with pytest.raises(ValueError, match=r"^texts is a \w+; accepted: a list of texts$"):
        review_predictor.predict(texts)


@pytest.mark.parametrize("make", [list, tuple, np.array, pd.Series, lambda texts: pd.Series(texts, index=[7, 3]), iter])
def test_texts_are_answered_in_their_order(review_predictor: Predictor, make: Callable[[list[str]], Any]) -> None:
    texts = ["a good film", "a bad one"]
    for found, text in zip(review_predictor.predict(make(texts)), texts, strict=True):
        assert found == pytest.approx(review_predictor.predict([text])[0])


@pytest.mark.parametrize("text", [None, float("nan"), 5, b"good", ["good"], ["good", "bad"], {"text": "good"}])
def test_what_is_no_text_is_named_with_its_position(review_predictor: Predictor, text: Any) -> None:
    with pytest.raises(ValueError, match=r"^text 1 is .*; accepted by this model: a text$"):
        review_predictor.predict(["fine", text])
