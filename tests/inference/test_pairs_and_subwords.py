"""Models of pairs of texts, and models of subwords."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.raw import ENTITIES, REVIEWS, write_raw
from tests.tiny import random_model, save_random_model
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import SPLITS, Source
from unroll.data.tokenizer import TokenizerOptions
from unroll.inference import mlflow_model
from unroll.inference.predictor import Predictor
from unroll.inference.scoring.inputs import common_schema, cut
from unroll.inference.scoring.job import ScoreOptions, build_job
from unroll.inference.scoring.part import score_chunk
from unroll.inference.server.source import ServedModel

QUESTIONS, ANSWERS = ["Who is she?", "Where was it?", "Why, then?"] * 4, ["Ada.", "In Paris!", "So be it"] * 4
PAIRS: Source = replace(REVIEWS, columns={"text": "text", "text_pair": "second", "label": "label"})
SENTENCES = [["Ada", "Lovelace", "met", "Café-owners"], ["Paris", "again"], ["Unheard-of", "Ada"]] * 4
TAGS = [["B-PER", "I-PER", "O", "O"], ["B-LOC", "O"], ["O", "B-PER"]] * 4


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    folder = tmp_path_factory.mktemp("pairs")
    columns = {"text": QUESTIONS, "second": ANSWERS, "label": [0, 1] * 6}
    raw = write_raw(folder / "raw", dict.fromkeys(SPLITS, columns), ["no", "yes"])
    prepare(PAIRS, raw, folder / "prepared", PrepareOptions())
    return PreparedData(folder / "prepared")


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def subwords(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    folder = tmp_path_factory.mktemp("subwords")
    raw = write_raw(folder / "raw", {split: {"tokens": SENTENCES, "tags": TAGS} for split in SPLITS}, None)
    tokenizer = TokenizerOptions(subwords=request.param, subword_vocabulary=30)
    prepare(ENTITIES, raw, folder / "prepared", PrepareOptions(tokenizer=tokenizer))
    return PreparedData(folder / "prepared")


def test_pairs_get_the_labels_of_their_prepared_rows(pairs: PreparedData, tmp_path: Path) -> None:
    expected = random_model(pairs, "gru").predict(pairs.split("test"), 4)
    predictor = Predictor.load(save_random_model(pairs, tmp_path / "model"))
    found = predictor.predict(list(zip(QUESTIONS, ANSWERS, strict=True)))
    highest = [probabilities.max() for _, probabilities, *_ in expected]
    np.testing.assert_allclose([row["probability"] for row in found], highest, atol=1e-5)


def test_pairs_of_a_file_are_scored_from_two_columns(pairs: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(pairs, tmp_path / "model")
    pq.write_table(pa.table({"text": [*QUESTIONS, "alone"], "other": [*ANSWERS, None]}), tmp_path / "in.parquet")
    (chunk,) = cut([tmp_path / "in.parquet"], 10**6)
    facts = ServedModel("", "", folder).facts()
    job = build_job(
        common_schema([tmp_path / "in.parquet"]),
        facts,
        ScoreOptions(text_pair="other"),
        tmp_path,
        folder,
        Predictor,
    )
    assert score_chunk(job, chunk) == (13, 1)
    *found, alone = pq.read_table(job.part(chunk)).to_pylist()
    expected = Predictor.load(folder).predict(list(zip(QUESTIONS, ANSWERS, strict=True)))
    assert [row["label"] for row in found] == [it["label"] for it in expected]
    assert alone["error"] == "text and other is ('alone', None); accepted by this model: a pair of texts"


@pytest.fixture(scope="module")
def predictor(pairs: PreparedData) -> Predictor:
    return Predictor(random_model(pairs, "gru"))


@pytest.mark.parametrize(
    "text",
    [
        *("one text", ("one",), ("one", "two", "three"), {"text": "one", "text_pair": "two"}, {"one", "two"}),
        *(pd.Series(["one", "two"]), ("one", None), ("one", float("nan")), ("one", 2), (b"one", b"two"), b"one"),
        (("one", "two"), "three"),
    ],
    ids=lambda it: type(it).__name__,
)
def test_what_is_no_pair_is_named_on_one_line_and_keeps_its_place(predictor: Predictor, text: Any) -> None:
    with pytest.raises(ValueError, match=r"^text 1 is .*one.*; accepted by this model: a pair of texts$"):
        predictor.predict([("a", "b"), text])
    first, second = predictor.predict([("a", "b"), text], errors="coerce")
    assert first["label"] is not None and second == {"label": None, "probability": None}


@pytest.mark.parametrize("kind", [list, np.array, lambda pair: np.array(pair, dtype=object)])
def test_a_pair_may_be_a_list_or_an_array(predictor: Predictor, kind: Callable[[Any], Any]) -> None:
    assert predictor.predict([kind(("a", "b"))]) == predictor.predict([("a", "b")])


def test_a_text_of_a_million_characters_is_read(predictor: Predictor) -> None:
    assert predictor.count_tokens(("word " * 200_000, "b")) == 200_002


@pytest.mark.parametrize("texts", [{"text": ["a"], "text_pair": ["b"]}, np.array([["a", "b"]]), "ab", None])
def test_pairs_are_a_list_of_pairs(predictor: Predictor, texts: Any) -> None:
    with pytest.raises(ValueError, match=r"^texts is a .*; accepted: a list of texts, or a column of a table$"):
        predictor.predict(texts)


@pytest.mark.parametrize("pair", [("a\ud83d", "b"), ("a", "b\ud83d")])
def test_half_a_character_is_named(predictor: Predictor, subwords: PreparedData, pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^text 0 contains half a character \(a surrogate\): .*ud83d"):
        predictor.predict([pair])
    with pytest.raises(ValueError, match=r"^text 0 contains half a character"):
        Predictor(random_model(subwords, "bilstm")).predict([list(pair)])


def test_a_pair_is_refused_by_a_model_of_texts(reviews: PreparedData) -> None:
    with pytest.raises(ValueError, match="accepted by this model: a text"):
        Predictor(random_model(reviews, "gru")).predict([("a", "b")])


@pytest.mark.parametrize("pair", [("a", " "), ("", "b"), ("a", "\u200b")])
def test_a_pair_with_an_empty_text_is_named(predictor: Predictor, pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="text 0 is empty"):
        predictor.predict([pair])


def test_mlflow_s_model_takes_pairs_as_two_columns(pairs: PreparedData) -> None:
    served = mlflow_model.TextModel()
    served._predictor = Predictor(random_model(pairs, "gru"))
    frame = pd.DataFrame({"text_pair": ANSWERS, "text": QUESTIONS})  # in any order
    expected = served._predictor.predict(list(zip(QUESTIONS, ANSWERS, strict=True)))
    assert served.predict(None, frame).to_dict("records") == expected  # type: ignore[arg-type]


def test_entities_of_subwords_are_cut_out_of_the_text(subwords: PreparedData, tmp_path: Path) -> None:
    predictor = Predictor.load(save_random_model(subwords, tmp_path / "model", "bilstm"))
    texts = ["Ada  Lovelace met Cafe\u0301-owners in Paris", "unheard €uro 😀 Ada"]
    found = predictor.predict(texts)
    assert any(row["entities"] for row in found)
    for row, text in zip(found, texts, strict=True):
        assert any(token.startswith("##") for token in row["tokens"])
        for entity in row["entities"]:
            assert entity["text"] == text[entity["start_char"] : entity["end_char"]] != ""
            inside = "".join(row["tokens"][entity["start"] : entity["end"]]).replace("##", "")
            assert len(inside) <= len(entity["text"])


def test_a_given_token_has_the_label_of_its_first_subword(subwords: PreparedData) -> None:
    predictor = Predictor(random_model(subwords, "bilstm"))
    found = predictor.predict(SENTENCES[:3])
    assert [row["tokens"] for row in found] == SENTENCES[:3]
    in_pieces = predictor.predict([" ".join(sentence) for sentence in SENTENCES[:3]])
    for row, pieces in zip(found, in_pieces, strict=True):
        pairs = zip(pieces["labels"], pieces["tokens"], strict=True)
        assert row["labels"] == [label for label, piece in pairs if not piece.startswith("##")]
    assert any(len(pieces["tokens"]) > len(row["tokens"]) for row, pieces in zip(found, in_pieces, strict=True))


def test_tokens_and_their_joined_text_give_the_same_subwords(subwords: PreparedData) -> None:
    split = subwords.split("test")
    words = [subwords.schema.tokenizer.tokenize(" ".join(sentence)) for sentence in (SENTENCES[1], SENTENCES[0][:3])]
    assert split.lengths[1] == len(words[0])
    assert split.lengths[0] > len(words[1])
