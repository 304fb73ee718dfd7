from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import seqeval.metrics
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from tests.evaluation.made_up import write_prepared
from unroll.data.prepared import PreparedData
from unroll.evaluation.runs import Run, read_runs
from unroll.evaluation.slices import (
    slices_by_label,
    slices_by_length,
    slices_by_seen_entities,
    slices_by_unseen_words,
)

DataOf = Callable[[Sequence[Run]], PreparedData]


@pytest.fixture
def runs(classification_runs: Path) -> list[Run]:
    return read_runs(classification_runs)


def with_predictions(run: Run, **columns: list[object]) -> Run:
    return replace(run, predictions=pd.DataFrame({"row": range(len(columns["label"])), **columns}))


def test_accuracy_by_length_adds_up_to_the_whole(runs: list[Run]) -> None:
    sizes, scores = slices_by_length(runs)
    assert sizes.sum() == 120
    for model, row in scores.iterrows():
        whole = np.mean([run.metrics["test/accuracy"] for run in runs if run.model == model])
        assert np.average(row, weights=sizes) == pytest.approx(whole)


def test_f1_by_length_equals_seqeval_on_the_sentences_of_that_length(labeling_runs: Path) -> None:
    runs = read_runs(labeling_runs, ["elman"])
    sizes, scores = slices_by_length(runs)
    for name, size in sizes.items():
        low, high = map(int, str(name).split("-"))
        expected = []
        for run in runs:
            part = run.predictions[run.predictions["length"].between(low, high)]
            assert len(part) == size
            expected.append(
                seqeval.metrics.f1_score(part["label"].map(list).tolist(), part["predicted"].map(list).tolist())
            )
        assert scores.loc["elman", name] == pytest.approx(np.mean(expected))


def test_f1_by_length_equals_scikit_learn_on_the_texts_of_that_length(multilabel_runs: Path) -> None:
    runs = read_runs(multilabel_runs, ["elman"])
    sizes, scores = slices_by_length(runs)
    for name in sizes.index:
        low, high = map(int, str(name).split("-"))
        expected = []
        for run in runs:
            part = run.predictions[run.predictions["length"].between(low, high)]
            names = MultiLabelBinarizer().fit(run.predictions["label"])
            gold, predicted = (names.transform(part[side]) for side in ("label", "predicted"))
            expected.append(f1_score(gold, predicted, average="micro"))
        assert scores.loc["elman", name] == pytest.approx(np.mean(expected))


def test_texts_of_one_length_are_one_part(runs: list[Run]) -> None:
    run = with_predictions(runs[0], length=[7, 7, 7, 7], label=[*"aabb"], predicted=[*"aaba"])
    sizes, scores = slices_by_length([run])
    assert sizes.to_dict() == {"7": 4}
    assert scores.to_dict("index") == {"elman": {"7": 0.75}}


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        ({5: 90, 6: 10}, {"5": 90, "6": 10}),
        ({5: 10, 6: 90}, {"5": 10, "6": 90}),
        ({5: 91, 6: 9}, {"5-6": 100}),
        ({5: 9, 6: 91}, {"5-6": 100}),
        ({1: 30, 5: 40, 9: 30}, {"1": 30, "5": 40, "9": 30}),
        ({1: 1, 2: 98, 3: 1}, {"1-3": 100}),
        (dict.fromkeys(range(1, 11), 10), {"1-2": 20, "3-4": 20, "5-6": 20, "7-8": 20, "9-10": 20}),
    ],
)
def test_lengths_are_cut_where_texts_are_nearest_to_fifths(
    runs: list[Run], texts: dict[int, int], parts: dict[str, int]
) -> None:
    lengths = [length for length, count in texts.items() for _ in range(count)]
    run = with_predictions(runs[0], length=lengths, label=["a"] * 100, predicted=["a"] * 100)
    assert slices_by_length([run]).sizes.to_dict() == parts


def test_a_part_without_labels_has_no_score(multilabel_runs: Path) -> None:
    run = with_predictions(
        read_runs(multilabel_runs)[0], length=[1, 2], label=[[], ["neutral"]], predicted=[["neutral"], ["neutral"]]
    )
    assert slices_by_length([run]).scores.loc["elman"].tolist() == pytest.approx([np.nan, 1.0], nan_ok=True)


def test_a_part_without_entities_has_no_score(labeling_runs: Path) -> None:
    tags = [["O"], ["B-PER", "O"]]
    run = with_predictions(read_runs(labeling_runs)[0], length=[1, 2], label=tags, predicted=tags)
    assert slices_by_length([run]).scores.loc["elman"].tolist() == pytest.approx([np.nan, 1.0], nan_ok=True)


def test_texts_are_parted_by_the_share_of_words_that_train_does_not_have(runs: list[Run], tmp_path: Path) -> None:
    train = ([["Good", "and", "Bad"]], ["a"])
    tests = [["good", "AND", "bad"], ["good", "new"], ["and"] * 9 + ["new"], ["other"]]
    labels = ["a", "b", "a", "b"]
    data = write_prepared(tmp_path, "classification", ["a", "b"], {"train": train, "test": (tests, labels)})
    run = with_predictions(runs[0], label=labels, predicted=["a", "a", "b", "b"])
    sizes, scores = slices_by_unseen_words([run], data)
    assert sizes.to_dict() == {"none": 1, "up to 10 %": 1, "over 10 %": 2}
    assert scores.loc["elman"].tolist() == [1.0, 0.0, 0.5]


def test_a_rare_word_of_train_is_seen_though_it_is_missing_from_the_vocabulary(runs: list[Run], tmp_path: Path) -> None:
    splits = {"train": ([["often", "often", "Rare"]], ["a"]), "test": ([["often", "Rare"], ["Never"]], ["a", "a"])}
    data = write_prepared(tmp_path, "classification", ["a"], splits, min_count=2)
    assert data.schema.vocabulary == ["<pad>", "<unk>", "often"]
    run = with_predictions(runs[0], label=["a", "a"], predicted=["a", "a"])
    assert slices_by_unseen_words([run], data).sizes.to_dict() == {"none": 1, "over 10 %": 1}


@pytest.mark.parametrize("folder", ["classification_runs", "labeling_runs", "multilabel_runs"])
def test_f1_of_each_label_is_the_mean_over_seeds(folder: str, request: pytest.FixtureRequest) -> None:
    runs = read_runs(request.getfixturevalue(folder))
    sizes, scores = slices_by_label(runs)
    first = [run.classes.iloc[0] for run in runs if run.model == "gru"]
    assert sizes.iloc[0] == first[0]["support"]
    assert scores.loc["gru"].iloc[0] == pytest.approx(np.mean([row["f1"] for row in first]))
    assert list(sizes.index) == list(runs[0].classes["label"])


def test_recall_is_parted_by_whether_train_has_the_entity(labeling_runs: Path, tmp_path: Path) -> None:
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    train = (
        [["Ada", "met", "Lima", "in", "Lima"], ["New", "York"]],
        [["B-PER", "O", "B-PER", "O", "O"], ["B-LOC", "I-LOC"]],
    )
    tests = [["Ada", "in", "Lima"], ["New", "York", "and", "York"], ["ada"]]
    gold = [["B-PER", "O", "B-LOC"], ["B-LOC", "I-LOC", "O", "B-LOC"], ["B-PER"]]
    data = write_prepared(tmp_path, "labeling", names, {"train": train, "test": (tests, gold)})
    predicted = [["B-PER", "O", "B-PER"], ["B-LOC", "O", "O", "B-LOC"], ["O"]]
    run = with_predictions(read_runs(labeling_runs)[0], label=gold, predicted=predicted)
    sizes, scores = slices_by_seen_entities([run], data)
    assert sizes.to_dict() == {"seen with this type": 2, "seen with another type": 1, "not seen": 2}
    assert scores.loc["elman"].tolist() == [0.5, 0.0, 0.5]


def test_recall_of_seen_and_unseen_entities_adds_up_to_that_of_all(labeling_runs: Path, data_of: DataOf) -> None:
    runs = read_runs(labeling_runs)
    sizes, scores = slices_by_seen_entities(runs, data_of(runs))
    for model, row in scores.iterrows():
        recall = np.mean([run.metrics["test/recall"] for run in runs if run.model == model])
        assert np.average(row, weights=sizes) == pytest.approx(recall)
