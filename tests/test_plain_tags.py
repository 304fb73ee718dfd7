"""Labeling with plain tags, such as parts of speech, through all stages."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

import unroll
from tests.tiny import MODELS, save_random_model
from unroll.data.predictions import Prediction
from unroll.data.prepared import PreparedData
from unroll.data.source import Source
from unroll.drift.drift import DriftOptions, find_drift, report
from unroll.evaluation.report import write_comparison
from unroll.evaluation.runs import read_run_folders
from unroll.inference.building import build_model
from unroll.inference.predictor import Predictor
from unroll.nn.heads import TAGGING_HEADS, CRFHead
from unroll.registry.candidate import Candidate
from unroll.registry.card import write_card
from unroll.registry.gate import Decision
from unroll.run_folder import RunFolder

NAMES = [".", "B-X", "I-X", "NN", "O", "VB"]
SMALL = {"embedding_size": 6, "casing_size": 2, "hidden_size": 8}


@pytest.fixture(scope="module")
def runs(tags: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """A trained and evaluated run of each kind of model."""
    folder, runs = tmp_path_factory.mktemp("runs"), {}
    for name in ("majority", "crfsuite", "bilstm"):
        model = unroll.build_model(name, tags, **(SMALL | {"head": "crf"} if name == "bilstm" else {}))
        runs[name] = unroll.train(model, tags, output=folder / "tags" / name / "1", epochs=4)
        unroll.evaluate(runs[name], tags)
    return runs


def sides(folder: RunFolder) -> tuple[list[str], list[str]]:
    predictions = pd.read_parquet(folder.predictions)
    return predictions["label"].explode().tolist(), predictions["predicted"].explode().tolist()


def test_tags_are_kept_as_they_are(tags: PreparedData) -> None:
    assert tags.task == "tagging"
    assert tags.label_names == NAMES
    facts = json.loads((tags.folder / "report.json").read_text())
    train = tags.split("train")
    assert facts["splits"]["train"]["labels"] == dict(
        zip(NAMES, np.bincount(train.labels, minlength=len(NAMES)).tolist(), strict=True)
    )
    assert facts["tag_scheme"] == "none"
    assert "plain tags" in (tags.folder / "report.html").read_text()


@pytest.mark.parametrize("name", ["majority", "crfsuite", "bilstm"])
def test_scores_equal_scikit_learn(name: str, runs: dict[str, RunFolder], tags: PreparedData) -> None:
    run = runs[name]
    metrics, (gold, predicted) = json.loads(run.metrics.read_text()), sides(run)
    assert metrics["test/accuracy"] == pytest.approx(accuracy_score(gold, predicted))
    assert metrics["test/f1"] == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0))
    classes = pd.read_csv(run.classes, na_filter=False)
    by_tag = f1_score(gold, predicted, labels=NAMES, average=None, zero_division=0)
    assert classes["label"].tolist() == NAMES
    assert classes["f1"].to_numpy() == pytest.approx(by_tag)
    assert np.trace(pd.read_csv(run.confusion, index_col=0).to_numpy()) == sum(map(str.__eq__, gold, predicted))


@pytest.mark.parametrize("name", ["majority", "crfsuite", "bilstm"])
def test_the_best_epoch_is_chosen_by_accuracy(name: str, runs: dict[str, RunFolder], tags: PreparedData) -> None:
    history, record = pd.read_csv(runs[name].history), runs[name].read_record()
    assert record.monitor == "val/accuracy"
    assert record.best_score == pytest.approx(history["val/accuracy"].max())
    best = history[history["epoch"] == record.best_epoch].iloc[0]
    split = tags.split("validation")
    predicted = unroll.load(runs[name]).model.predict(split, 8)
    pair = split.labels, np.concatenate([it.labels for it in predicted])
    assert best["val/accuracy"] == pytest.approx(accuracy_score(*pair))
    assert best["val/f1"] == pytest.approx(f1_score(*pair, average="macro", zero_division=0))


def test_models_are_compared_by_token_accuracy(runs: dict[str, RunFolder], tags: PreparedData, tmp_path: Path) -> None:
    write_comparison(read_run_folders([folder.path for folder in runs.values()]), tags, tmp_path)
    board = pd.read_csv(tmp_path / "leaderboard.csv")
    for model, accuracy in zip(board["model"], board["test/accuracy"], strict=True):
        assert accuracy == pytest.approx(accuracy_score(*sides(runs[model])))
    page = (tmp_path / "index.html").read_text()
    assert "best validation token accuracy" in page
    assert "macro F1" in page
    for word in ("entity", "entities", "Entit", "IOB"):
        assert word not in page


def test_the_model_card_is_about_tags(runs: dict[str, RunFolder], tags: PreparedData) -> None:
    found = read_run_folders([folder.path for folder in runs.values()])
    candidate = Candidate.of(found, runs["bilstm"].path.parents[1], tags.folder.parent / "raw", tags)
    card = write_card(candidate, found, 1, {"dataset.path": "data/tags"}, Decision(True, "it is the first", {}), 0.05)
    assert "assigns one tag to each token of a text" in card
    assert "| tag | precision | recall | F1 |" in card
    assert "entit" not in card


def test_a_text_has_one_tag_per_token_and_no_entities(runs: dict[str, RunFolder]) -> None:
    (found,) = unroll.load(runs["crfsuite"]).predict(["the old plan!"])
    assert found == {"tokens": ["the", "old", "plan", "!"], "labels": ["O", "B-X", "NN", "."]}


def test_no_tag_is_forbidden_after_another(tags: PreparedData, tmp_path: Path) -> None:
    for head in TAGGING_HEADS:
        model = build_model(MODELS["bilstm"] | SMALL | {"head": head}, tags.schema)
        if isinstance(model.head, CRFHead):
            assert not model.head.crf.forbidden_starts.any()
            assert not model.head.crf.forbidden_transitions.any()
    model = Predictor.load(save_random_model(tags, tmp_path, "bilstm_char_crf"))
    found = [tag for text in model.predict(["we lead the plan !"] * 2) for tag in text["labels"]]
    assert set(found) <= set(NAMES)


def test_drift_compares_shares_of_tags(runs: dict[str, RunFolder], tags: PreparedData, tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    new.write_text(json.dumps({"tokens": ["the", "plan"], "labels": ["O", " NN"]}) + "\n")
    source = Source("labeling", "acme/tags", {"tokens": "tokens", "labels": "labels"})
    options = DriftOptions(str(new), str(tags.folder), "x.json", str(runs["majority"].path), 0.1, 0.25, 0.05)
    drift = find_drift(source, options)
    labels = next(found for found in drift.comparisons if found.feature == "labels")
    assert {tag: share for tag, share in labels.new.items() if share} == {"O": 0.5, "NN": 0.5}
    assert "entities" not in report(drift)


def test_predictions_of_the_majority_keep_tags_that_look_like_inner_ones(
    runs: dict[str, RunFolder], tags: PreparedData
) -> None:
    predictions: list[Prediction] = unroll.load(runs["majority"]).model.predict(tags.split("test"), 8)
    assert "I-X" in {NAMES[label] for it in predictions for label in it.labels}
