"""Unusual rows in the prepare stage, in training and in prediction."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.data.raw import ENTITIES, REVIEWS, TAGS, raw_reviews, texts, words_of, write_raw
from tests.tiny import OPTIONS, tiny_parts
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import Source
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.inference.predictor import Predictor
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
    assert all(row["label"] in ("bad", "good") for row in predictor.predict([*nasty, "\ud800 alone"]))


def test_a_text_of_a_megabyte_is_prepared_and_labelled(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", test=texts("good " * 200_000, "bad"))
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions())
    assert len(words_of(PreparedData(tmp_path / "out"), "test")[0]) == 200_000


def test_a_single_class_is_trained_on(tmp_path: Path) -> None:
    only = texts("a", "b", "c", labels=["same"] * 3)
    raw = write_raw(tmp_path / "raw", dict.fromkeys(("train", "validation", "test"), only), None)
    _, predictor = trained(tmp_path, raw)
    assert predictor.predict(["a"]) == [{"label": "same", "probability": 1.0}]


@pytest.mark.parametrize(
    ("source", "train", "names", "said"),
    [
        (REVIEWS, texts("a", "b", labels=["same"] * 2), None, "all texts of train have the label same,"),
        (REVIEWS, texts("a", "b", labels=[1, 1]), ["bad", "good"], "all texts of train have the label good,"),
        (ENTITIES, {"tokens": [["a", "b"]], "tags": [[0, 0]]}, TAGS, "all tokens of train have the label O,"),
    ],
)
def test_a_single_label_in_train_is_a_warning_of_the_prepare_stage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, source: Source, train: Any, names: list[str] | None, said: str
) -> None:
    raw = write_raw(tmp_path / "raw", dict.fromkeys(("train", "validation", "test"), train), names)
    prepare(source, raw, tmp_path / "out", PrepareOptions())
    assert [record.getMessage() for record in caplog.records] == [
        f"warning: {tmp_path / 'out'}: {said} so any model predicts it"
    ]


@pytest.mark.parametrize("model", ["gru", "tfidf", "majority"])
def test_every_model_says_that_train_has_a_single_label_and_predicts_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, model: str
) -> None:
    raw = raw_reviews(tmp_path / "raw", train=texts("a b", "b c", labels=[1, 1]), validation=texts("a", labels=[1]))
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions())
    caplog.clear()
    train(PreparedData(tmp_path / "out"), tiny_parts(model, max_epochs=1), SMALL, tmp_path / "run")
    assert "all texts of train have the label good, so any model predicts it" in caplog.text
    (prediction,) = Predictor.load(tmp_path / "run" / "model").predict(["a"])
    assert model == "gru" or prediction["label"] == "good"


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
