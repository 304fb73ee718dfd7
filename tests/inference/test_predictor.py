from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
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

    assert [row["label"] for row in found] == [reviews.label_names[labels] for labels, *_ in expected]
    highest = [probabilities.max() for _, probabilities, *_ in expected]
    assert len(set(highest)) > 5
    np.testing.assert_allclose([row["probability"] for row in found], highest, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_texts_get_any_number_of_labels_the_most_probable_first(
    batch_size: int, model_name: str, topics: PreparedData, topic_predictor: Predictor
) -> None:
    expected = random_model(topics, model_name).predict(topics.split("test"), 8)

    found = topic_predictor.predict(raw_column(topics, "text"), batch_size)

    assert len({len(row["labels"]) for row in found}) > 1
    for row, (labels, probabilities, *_) in zip(found, expected, strict=True):
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
    assert [row["labels"] for row in found] == [[entities.label_names[i] for i in labels] for labels, *_ in expected]


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
    "texts",
    ["good", b"good", None, 5, {"text": ["good"]}, pd.DataFrame({"text": ["good"]}), np.array("good"), {"good"}],
)
def test_what_is_no_list_of_texts_is_refused(review_predictor: Predictor, texts: Any) -> None:
    with pytest.raises(ValueError, match=r"^texts is a \w+; accepted: a list of texts, or a column of a table$"):
        review_predictor.predict(texts)


LISTS = [list, tuple, np.array, pd.Series, lambda texts: pd.Series(texts, index=[7, 3]), iter, pa.array]


@pytest.mark.parametrize("make", LISTS)
def test_texts_are_answered_in_their_order(review_predictor: Predictor, make: Callable[[list[str]], Any]) -> None:
    texts = ["a good film", "a bad one"]
    for found, text in zip(review_predictor.predict(make(texts)), texts, strict=True):
        assert found == pytest.approx(review_predictor.predict([text])[0])


@pytest.mark.parametrize("text", [None, float("nan"), 5, b"good", ["good"], ["good", "bad"], {"text": "good"}])
def test_what_is_no_text_is_named_with_its_position(review_predictor: Predictor, text: Any) -> None:
    with pytest.raises(ValueError, match=r"^text 1 is .*; accepted by this model: a text$"):
        review_predictor.predict(["fine", text])


@pytest.mark.parametrize("text", [pd.DataFrame({"text": ["good"] * 40}), ["x" * 100_000], " " * 100_000])
def test_a_text_is_named_in_one_short_line(review_predictor: Predictor, text: Any) -> None:
    with pytest.raises(ValueError, match=r"^text 0 is .*…; accepted") as refused:
        review_predictor.predict([text])
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 200


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "x", None, True])
def test_a_batch_size_is_a_number_from_one(review_predictor: Predictor, batch_size: Any) -> None:
    with pytest.raises(ValueError, match=r"^batch_size=.*; accepted: 1 or more$"):
        review_predictor.predict(["good"], batch_size=batch_size)


@pytest.mark.parametrize("make", [list, tuple, np.array])
def test_given_tokens_are_labelled_as_they_are(
    make: Callable[[list[str]], Any], entities: PreparedData, entity_predictor: Predictor
) -> None:
    sentences = [["Ada", "Brown's", "New York", ",", "e\u0301t\u00e9"], ["!!", "?"]]
    found = entity_predictor.predict([make(sentence) for sentence in sentences])
    assert [row["tokens"] for row in found] == sentences
    assert [len(row["labels"]) for row in found] == [5, 2]
    for row in found:
        text = " ".join(row["tokens"])
        for entity in row["entities"]:
            assert entity["text"] == text[entity["start_char"] : entity["end_char"]]
            assert entity["text"] == " ".join(row["tokens"][entity["start"] : entity["end"]])


def test_given_tokens_get_the_labels_of_their_prepared_rows(
    model_name: str, entities: PreparedData, entity_predictor: Predictor
) -> None:
    expected = random_model(entities, model_name).predict(entities.split("test"), 8)
    found = entity_predictor.predict(raw_column(entities, "tokens"))
    assert [row["labels"] for row in found] == [[entities.label_names[i] for i in labels] for labels, *_ in expected]


@pytest.mark.parametrize("tokens", [[], ["a", ""], ["a", None], ["a", 1], [["a"]]])
def test_tokens_that_cannot_be_used_are_named(entity_predictor: Predictor, tokens: Any) -> None:
    with pytest.raises(ValueError, match=r"^text 1 is .*; accepted as tokens: one or more strings, none empty$"):
        entity_predictor.predict(["fine", tokens])


def test_text_for_a_model_of_given_tokens_is_warned_of_once(
    entity_predictor: Predictor, review_predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    entity_predictor.predict([["Ada", "met", "us"]])
    review_predictor.predict(["good"])
    assert not caplog.records
    entity_predictor.predict(["Ada met us", "Ravi"])
    entity_predictor.predict(["Ada met us"])
    assert len(caplog.records) == 1
    assert "trained on given tokens" in caplog.text


BAD_TEXTS = [None, float("nan"), pd.NA, 5, b"good", "", " \n", {"text": "good"}]


def test_bad_texts_keep_their_place_and_do_not_change_the_others(
    review_predictor: Predictor, topic_predictor: Predictor, entity_predictor: Predictor
) -> None:
    for predictor in (review_predictor, topic_predictor, entity_predictor):
        first, last = predictor.predict(["not good", "so old , today"])
        found = predictor.predict(["not good", *BAD_TEXTS, "so old , today"], errors="coerce")
        key = next(iter(first))  # label, labels or tokens
        assert (found[0][key], found[-1][key]) == (first[key], last[key])
        assert found[1:-1] == [dict.fromkeys(first)] * len(BAD_TEXTS)
        assert predictor.predict([None], errors="coerce") == [dict.fromkeys(first)]
        assert predictor.predict([], errors="coerce") == []


def test_another_treatment_of_errors_is_refused(review_predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="errors='ignore'; accepted: raise, coerce"):
        review_predictor.predict(["good"], errors="ignore")  # type: ignore[arg-type]
