from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.tiny import random_model, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.serving.predictor import Predictor
from unroll.training.inference import label_probabilities


@pytest.fixture
def review_predictor(reviews: PreparedData, tmp_path: Path) -> Predictor:
    random_model(reviews, "lstm").save(tmp_path / "model", tiny_parts("lstm")["model"])
    return Predictor.load(tmp_path / "model")


@pytest.fixture
def entity_predictor(entities: PreparedData, tmp_path: Path) -> Predictor:
    random_model(entities, "bilstm").save(tmp_path / "model", tiny_parts("bilstm")["model"])
    return Predictor.load(tmp_path / "model")


def raw_column(data: PreparedData, column: str) -> list:
    return pq.read_table(data.folder.parent / "raw" / "test.parquet")[column].to_pylist()


@pytest.mark.parametrize("batch_size", [1, 64])
def test_texts_get_the_labels_of_their_prepared_rows(
    batch_size: int, reviews: PreparedData, review_predictor: Predictor
) -> None:
    expected = label_probabilities(random_model(reviews, "lstm").model, reviews.split("test"), 8)

    found = review_predictor.predict(raw_column(reviews, "text"), batch_size)

    assert [answer["label"] for answer in found] == [reviews.label_names[row.argmax()] for row in expected]
    assert {answer["label"] for answer in found} == {"negative", "positive"}
    probabilities = [answer["probability"] for answer in found]
    np.testing.assert_allclose(probabilities, [row.max() for row in expected], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_tokens_get_the_labels_of_their_prepared_rows(
    batch_size: int, entities: PreparedData, entity_predictor: Predictor
) -> None:
    sentences = raw_column(entities, "tokens")
    expected = label_probabilities(random_model(entities, "bilstm").model, entities.split("test"), 8)

    found = entity_predictor.predict([" ".join(tokens) for tokens in sentences], batch_size)

    for answer, tokens, rows in zip(found, sentences, expected, strict=True):
        assert answer["tokens"] == tokens
        assert answer["labels"] == [entities.label_names[best] for best in rows.argmax(axis=1)]


def test_entities_are_what_the_labels_spell(entities: PreparedData, entity_predictor: Predictor) -> None:
    found = entity_predictor.predict([" ".join(tokens) for tokens in raw_column(entities, "tokens")])
    assert any(answer["entities"] for answer in found)
    for answer in found:
        inside = set()
        for entity in answer["entities"]:
            places = range(entity["start"], entity["end"])
            assert entity["text"] == " ".join(answer["tokens"][i] for i in places)
            assert all(answer["labels"][i].endswith(f"-{entity['type']}") for i in places)
            inside |= set(places)
        assert [label == "O" for label in answer["labels"]] == [i not in inside for i in range(len(answer["labels"]))]


def test_unknown_words_are_no_obstacle(review_predictor: Predictor, entity_predictor: Predictor) -> None:
    assert review_predictor.predict(["Zyzzyva quux!"])[0]["label"] in ("negative", "positive")
    assert entity_predictor.predict(["Zyzzyva quux!"])[0]["tokens"] == ["Zyzzyva", "quux", "!"]


def test_markup_and_missing_spaces_are_no_words(review_predictor: Predictor) -> None:
    plain, marked_up = review_predictor.predict(["not good , today", "not good,<br />today"])
    assert marked_up == pytest.approx(plain)


def test_casing_is_seen(review_predictor: Predictor) -> None:
    lower, upper = review_predictor.predict(["not", "NOT"])
    assert lower["probability"] != pytest.approx(upper["probability"])


@pytest.mark.parametrize("text", ["", "  \n", "<br>"])
def test_an_empty_text_is_refused(text: str, review_predictor: Predictor, entity_predictor: Predictor) -> None:
    for predictor in (review_predictor, entity_predictor):
        with pytest.raises(ValueError, match=r"text 1 is empty: .*; accepted: text with at least one token"):
            predictor.predict(["good", text])


def test_no_texts_give_no_answers(review_predictor: Predictor, entity_predictor: Predictor) -> None:
    assert review_predictor.predict([]) == entity_predictor.predict([]) == []


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no trained model"):
        Predictor.load(tmp_path)
