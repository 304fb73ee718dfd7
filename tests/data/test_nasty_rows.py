"""Unusual rows in the prepare stage, in training and in prediction."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.data.raw import ENTITIES, LENIENT, REVIEWS, TAGS, raw_reviews, texts, words_of, write_raw
from tests.tiny import OPTIONS, tiny_parts
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import SPLITS, Source
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.inference.predictor import Predictor
from unroll.inference.trained_model import TrainedModel
from unroll.training.train import train

NASTY = {
    "right to left, with vowel signs": "שָׁלוֹם مُحَمَّد",
    "emoji of several characters": "👩‍👩‍👧 ❤️ 👍🏽",
    "NUL": "a\0b",
    "other line ends": "one\x85two\u2028three",
    "byte order mark": "\ufeffword",
    "only punctuation": "?!... --",
    "one long token": "x" * 100_000,
    "a private character": "\ue000",
    "a noncharacter": "\uffff",
    "hundreds of marks on a letter": "e" + "\u0301" * 500,
}
TOPICS = Source("multilabel", "acme/topics", {"text": "text", "labels": "label"})
SMALL = replace(OPTIONS, batch_size=4)


def trained(folder: Path, raw: Path) -> tuple[PreparedData, Predictor]:
    prepare(REVIEWS, raw, folder / "out", PrepareOptions(max_bad_share=0))
    data = PreparedData(folder / "out")
    run = folder / "run"
    train(data, tiny_parts("gru", max_epochs=1), SMALL, run)
    evaluate(data, run, EvaluateOptions(batch_size=4, threads=1))
    return data, Predictor.load(run / "model")


def test_every_nasty_text_is_used_trained_on_and_labelled(tmp_path: Path) -> None:
    nasty = list(NASTY.values())
    raw = raw_reviews(tmp_path / "raw", train=texts(*nasty), test=texts(*nasty))
    data, predictor = trained(tmp_path, raw)
    assert data.description["splits"]["train"]["rows"] == len(nasty)
    assert all(row["label"] in ("bad", "good") for row in predictor.predict(nasty))


def test_a_text_of_a_megabyte_is_prepared_and_labelled(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", test=texts("good " * 200_000, "bad"))
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions())
    assert len(words_of(PreparedData(tmp_path / "out"), "test")[0]) == 200_000


def test_labels_that_count_from_one_are_an_error_however_rare_the_last_is(tmp_path: Path) -> None:
    labels = [1] * 199 + [2]
    raw = raw_reviews(tmp_path / "raw", train=texts(*(f"text {i}" for i in range(200)), labels=labels))
    with pytest.raises(ValueError, match=r"has the label 2, and none is 0; accepted: numbers from 0 to 1, .*bad, good"):
        prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scheme", ["none", "iob2", "iob1"])
def test_tags_that_count_from_one_are_an_error(tmp_path: Path, scheme: Any) -> None:
    tags = [[1, 2, 3], *[[1, 2]] * 199]
    columns = {"tokens": [["to", "New", "York"][: len(row)] for row in tags], "tags": tags}
    raw = write_raw(tmp_path / "raw", dict.fromkeys(SPLITS, columns), TAGS)
    with pytest.raises(ValueError, match=r"'tags' of .* has the label 3, and none is 0; accepted: numbers from 0 to 2"):
        prepare(replace(ENTITIES, tag_scheme=scheme), raw, tmp_path / "out", PrepareOptions())


def test_label_sets_that_count_from_one_are_an_error(tmp_path: Path) -> None:
    rows = texts(*(f"text {i}" for i in range(200)), labels=[[1, 2], *[[1]] * 199])
    raw = raw_reviews(tmp_path / "raw", train=rows, validation=rows, test=rows)
    with pytest.raises(ValueError, match=r"'label' of .* has the label 2, and none is 0; accepted: .* 0 to 1"):
        prepare(TOPICS, raw, tmp_path / "out", PrepareOptions())


def test_a_stray_number_among_names_is_an_unknown_label(tmp_path: Path) -> None:
    rows = texts(*(f"text {i}" for i in range(200)), labels=["bad", "2", *["good"] * 198])
    raw = raw_reviews(tmp_path / "raw", train=rows, validation=texts("a", labels=["bad"]), test=rows)
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions())
    assert PreparedData(tmp_path / "out").description["quarantined"]["train"] == {"unknown label '2'": 1}


@pytest.mark.parametrize("tokens", [["\u200b"], ["\ufeff", "\u00ad"], [" "]])
def test_tokens_that_are_all_not_shown_are_none(tmp_path: Path, tokens: list[str]) -> None:
    good = {"tokens": [["Rio"]], "tags": [[1]]}
    test = {"tokens": [["Rio"], tokens], "tags": [[0], [0] * len(tokens)]}
    raw = write_raw(tmp_path / "raw", {"train": good, "validation": good, "test": test}, TAGS)
    prepare(ENTITIES, raw, tmp_path / "out", LENIENT)
    assert PreparedData(tmp_path / "out").description["quarantined"]["test"] == {"no tokens": 1}


def test_a_single_class_is_trained_on(tmp_path: Path) -> None:
    only = texts("a", "b", "c", labels=["same"] * 3)
    raw = write_raw(tmp_path / "raw", dict.fromkeys(("train", "validation", "test"), only), None)
    _, predictor = trained(tmp_path, raw)
    assert predictor.predict(["a"]) == [{"label": "same", "probability": 1.0}]


ONE_LABEL = {
    "classification": (
        REVIEWS,
        texts("a b", "b c", labels=[1, 1]),
        ["bad", "good"],
        "texts of train have the label good",
    ),
    "multilabel": (
        TOPICS,
        {"text": ["a b", "b c"], "label": [["x", "z"]] * 2},
        ["x", "y", "z"],
        "texts of train have the label x, z",
    ),
    "labeling": (
        ENTITIES,
        {"tokens": [["a", "b"], ["c"]], "tags": [[0, 0], [0]]},
        TAGS,
        "tokens of train have the label O",
    ),
}


@pytest.mark.parametrize(
    ("task", "model"),
    [(task, "majority") for task in ONE_LABEL]
    + [("classification", "gru"), ("classification", "tfidf"), ("multilabel", "tfidf"), ("labeling", "crfsuite")],
)
def test_a_single_label_in_train_is_a_warning_in_the_prepare_stage_and_for_every_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, task: str, model: str
) -> None:
    source, rows, names, said = ONE_LABEL[task]
    raw = write_raw(tmp_path / "raw", dict.fromkeys(SPLITS, rows), names)
    prepare(source, raw, tmp_path / "out", PrepareOptions())
    train(PreparedData(tmp_path / "out"), tiny_parts(model, max_epochs=1), SMALL, tmp_path / "run")
    message = f"warning: {tmp_path / 'out'}: all {said}, so any model predicts it"
    assert [record.getMessage() for record in caplog.records if record.name == "unroll"] == [message] * 2
    assert TrainedModel.load(tmp_path / "run" / "model").schema.label_names == names


def test_tfidf_predicts_the_only_label_of_train(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", train=texts("a b", "b c", labels=[1, 1]))
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions())
    train(PreparedData(tmp_path / "out"), tiny_parts("tfidf"), SMALL, tmp_path / "run")
    assert Predictor.load(tmp_path / "run" / "model").predict(["c"]) == [{"label": "good", "probability": 1.0}]


def test_splits_of_one_row_are_trained_on(tmp_path: Path) -> None:
    one = {split: texts("a word", labels=[1]) for split in ("train", "validation", "test")}
    _, predictor = trained(tmp_path, raw_reviews(tmp_path / "raw", **one))
    assert predictor.predict(["a word"])[0]["label"] in ("bad", "good")


def test_ten_thousand_labels_are_trained_on(tmp_path: Path) -> None:
    many: dict[str, list[Any]] = {"text": ["x"] * 10_000, "label": [f"label {i:05}" for i in range(10_000)]}
    few = {name: values[:3] for name, values in many.items()}
    raw = write_raw(tmp_path / "raw", {"train": many, "validation": few, "test": few}, None)
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(max_bad_share=0))
    data = PreparedData(tmp_path / "out")
    assert len(data.label_names) == 10_000
    train(data, tiny_parts("gru", max_epochs=1), replace(SMALL, batch_size=512), tmp_path / "run")
    assert Predictor.load(tmp_path / "run" / "model").predict(["x"])[0]["label"].startswith("label ")


@pytest.mark.parametrize("values", [["a", "b", None, "c"], [None, None, "a", "b"]])
def test_missing_texts_are_counted_wherever_they_stand(tmp_path: Path, values: list[str | None]) -> None:
    raw = raw_reviews(tmp_path / "raw", test=texts(*values))
    description = prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(max_bad_share=0.5))
    assert description["quarantined"]["test"] == {"missing text": values.count(None)}
