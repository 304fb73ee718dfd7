from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from unroll.baselines import Majority
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.ragged import Ragged
from unroll.data.tokens import Task


def fitted(data: PreparedData, train: EncodedSplit | None = None) -> Majority:
    model = Majority(data.task, data.label_names, len(data.schema.vocabulary))
    model.fit(train or data.split("train"), data.split("validation"))
    return model


def test_a_text_has_the_label_that_scikit_learns_dummy_gives(reviews: PreparedData) -> None:
    train, test = reviews.split("train"), reviews.split("test")
    expected = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(train), 1)), train.labels)
    found = fitted(reviews).predict(test, batch_size=8)
    assert [int(prediction.labels) for prediction in found] == expected.predict(np.zeros((len(test), 1))).tolist()


def test_probabilities_of_a_text_are_the_frequencies_with_one_example_more(reviews: PreparedData) -> None:
    train = reviews.split("train")
    likely = fitted(reviews).predict(reviews.split("test"), batch_size=8)[0].probabilities
    assert likely == pytest.approx((np.bincount(train.labels) + 0.5) / (len(train) + 1))
    assert likely.sum() == pytest.approx(1)


@pytest.mark.parametrize("with_label", [21, 22, 23])
def test_a_text_has_the_labels_of_more_than_half_of_the_texts(with_label: int, topics: PreparedData) -> None:
    train = topics.split("train")
    assert len(train) == 44
    labels = np.zeros((44, 3), bool)
    labels[:with_label, 1] = True
    changed = replace(train, labels=labels)
    prediction = fitted(topics, changed).predict(topics.split("test"), batch_size=8)[0]
    assert prediction.labels.tolist() == [False, with_label > 22, False]
    assert prediction.probabilities == pytest.approx(np.array([0.5, with_label + 0.5, 0.5]) / 45)


def test_a_word_has_its_most_frequent_tag_and_an_unknown_one_that_of_all(entities: PreparedData) -> None:
    train, test = entities.split("train"), entities.split("test")
    counts: dict[int, Counter[str]] = {}
    for token, label in zip(train.tokens, train.labels, strict=True):
        counts.setdefault(train.table.words[token], Counter())[entities.label_names[label]] += 1
    words = np.array(test.table.words)
    words[test.tokens[0]] = 1  # <unk>, which is missing from train
    unknown = replace(test, table=replace(test.table, words=words))
    for prediction, (start, end) in zip(fitted(entities).predict(unknown, 8), pairwise(test.offsets), strict=True):
        for label, word in zip(prediction.labels, words[test.tokens[start:end]], strict=True):
            tag = entities.label_names[label]
            best = counts[word].most_common() if word in counts else [("O", 1)]
            accepted = {name for name, count in best if count == best[0][1]}
            assert tag in accepted | {f"B-{name[2:]}" for name in accepted if name.startswith("I-")}


def test_tags_are_iob2(entities: PreparedData) -> None:
    """In the tiny corpus Brown continues a name; as a sequence of its own it cannot."""
    test = entities.split("test")
    alone = replace(test, sequences=Ragged(test.tokens, np.arange(len(test.tokens) + 1)), rows=test.tokens)
    model, names = fitted(entities), entities.label_names
    predicted = [[names[i] for i in prediction.labels] for prediction in model.predict(test, 8)]
    assert any(tag.startswith("I-") for tags in predicted for tag in tags)
    for tags in predicted:
        assert all(not tag.startswith("I-") or before[2:] == tag[2:] for before, tag in pairwise(["O", *tags]))
    assert not any(names[int(prediction.labels[0])].startswith("I-") for prediction in model.predict(alone, 8))


@pytest.mark.parametrize("task", ["classification", "multilabel", "labeling"])
def test_every_label_has_a_probability(task: Task, prepared: dict[Task, PreparedData]) -> None:
    data = prepared[task]
    probabilities = np.vstack([prediction.probabilities for prediction in fitted(data).predict(data.split("test"), 8)])
    assert 0 < probabilities.min() <= probabilities.max() < 1
    if task != "multilabel":
        assert probabilities.sum(axis=1) == pytest.approx(1)


def test_a_loaded_model_predicts_like_the_saved_one(entities: PreparedData, tmp_path: Path) -> None:
    model = fitted(entities)
    model.save(tmp_path)
    loaded = Majority("labeling", entities.label_names, len(entities.schema.vocabulary))
    loaded.load(tmp_path)
    assert loaded.num_parameters == model.num_parameters == len(entities.schema.vocabulary) * len(entities.label_names)
    for before, after in zip(*(one.predict(entities.split("test"), 8) for one in (model, loaded)), strict=True):
        assert np.array_equal(before.labels, after.labels)
        assert np.array_equal(before.probabilities, after.probabilities)
