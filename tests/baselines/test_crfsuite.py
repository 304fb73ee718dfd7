from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pycrfsuite
import pytest
from scipy.special import softmax

from unroll.baselines import CRFSuite
from unroll.baselines.word_features import WordFeatures
from unroll.data.prepared import PreparedData

OPTIONS = {"c1": 0.1, "c2": 0.5, "max_iterations": 40, "min_count": 2}


def build(data: PreparedData, **options: Any) -> CRFSuite:
    return CRFSuite(data.task, data.label_names, data.schema.vocabulary, data.schema.alphabet, **(OPTIONS | options))


def fitted(data: PreparedData, **options: Any) -> CRFSuite:
    model = build(data, **options)
    model.fit(data.split("train"), data.split("validation"))
    return model


@pytest.fixture(scope="module")
def tagger(entities: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> pycrfsuite.Tagger:
    """python-crfsuite, trained directly on the same features."""
    train, file = entities.split("train"), str(tmp_path_factory.mktemp("plain") / "model")
    trainer = pycrfsuite.Trainer(verbose=False)
    trainer.select("lbfgs")
    trainer.set_params({"c1": 0.1, "c2": 0.5, "max_iterations": 40, "feature.minfreq": 2})
    sentences = list(WordFeatures(entities.schema.vocabulary, entities.schema.alphabet).extract(train))
    for features, (start, end) in zip(sentences, pairwise(train.offsets), strict=True):
        trainer.append(features, [entities.label_names[i] for i in train.labels[start:end]])
    trainer.train(file)
    tagger = pycrfsuite.Tagger()
    tagger.open(file)
    return tagger


def test_predictions_equal_those_of_the_library(entities: PreparedData, tagger: pycrfsuite.Tagger) -> None:
    test, names = entities.split("test"), entities.label_names
    sentences = WordFeatures(entities.schema.vocabulary, entities.schema.alphabet).extract(test)
    for prediction, features in zip(fitted(entities).predict(test, batch_size=8), sentences, strict=True):
        assert [names[i] for i in prediction.labels] == tagger.tag(features)
        for step, row in enumerate(prediction.probabilities):
            assert row.tolist() == [tagger.marginal(name, step) for name in names]
            assert row.sum() == pytest.approx(1)


def test_chains_have_the_marginals_of_the_library(entities: PreparedData) -> None:
    model, test = fitted(entities), entities.split("test")
    plain = model.predict(test, batch_size=8)
    for prediction, expected in zip(model.predict_chains(test, batch_size=8), plain, strict=True):
        assert prediction.following is not None and prediction.transitions is not None
        np.testing.assert_array_equal(prediction.labels, expected.labels)
        found = softmax(prediction.following[0])
        for step, marginals in enumerate(expected.probabilities):
            if step:
                found = found @ softmax(prediction.transitions + prediction.following[step], axis=1)
            np.testing.assert_allclose(found, marginals, atol=1e-5)  # the weights have 6 decimals


def test_a_label_that_is_not_in_the_training_split_has_no_probability_in_a_chain(entities: PreparedData) -> None:
    train = entities.split("train")
    model = build(entities)
    model.fit(replace(train, labels=np.where(train.labels == 1, 0, train.labels)), entities.split("validation"))
    for prediction in model.predict_chains(entities.split("test"), batch_size=8):
        assert prediction.following is not None
        assert (prediction.following[:, 1] == -np.inf).all() and not prediction.probabilities[:, 1].any()
        assert np.isfinite(np.delete(prediction.following, 1, axis=1)).all()


def test_it_learns(entities: PreparedData) -> None:
    test = entities.split("test")
    found = np.concatenate([prediction.labels for prediction in fitted(entities).predict(test, batch_size=8)])
    assert (found == test.labels).mean() > 0.9


def test_parameters_are_the_weights_in_the_library_s_file(entities: PreparedData, tagger: pycrfsuite.Tagger) -> None:
    weights = tagger.info()
    assert fitted(entities).num_parameters == len(weights.state_features) + len(weights.transitions) > 100


def test_the_same_data_give_the_same_bytes(entities: PreparedData, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        fitted(entities).save(tmp_path / name)
    first, second = (tmp_path / name / "model.crfsuite" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_a_loaded_model_predicts_like_the_saved_one(entities: PreparedData, tmp_path: Path) -> None:
    model, loaded, test = fitted(entities), build(entities), entities.split("test")
    model.save(tmp_path)
    loaded.load(tmp_path)
    for before, after in zip(model.predict(test, 8), loaded.predict(test, 8), strict=True):
        assert np.array_equal(before.labels, after.labels)
        assert np.array_equal(before.probabilities, after.probabilities)


def test_a_label_that_is_missing_from_train_is_never_predicted(entities: PreparedData) -> None:
    train = entities.split("train")
    labels = np.where(train.labels == len(entities.label_names) - 1, 0, train.labels)
    model = build(entities)
    model.fit(replace(train, labels=labels), entities.split("validation"))
    for prediction in model.predict(entities.split("test"), batch_size=8):
        assert (prediction.probabilities[:, -1] == 0).all()
        assert prediction.probabilities.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [("c1", -1.0, "0"), ("c2", -0.1, "0"), ("max_iterations", 0, "1"), ("min_count", 0, "1")],
)
def test_arguments_out_of_range_are_refused(option: str, value: float, accepted: str, entities: PreparedData) -> None:
    with pytest.raises(ValueError, match=f"{option}={value}; accepted: {accepted} or more"):
        build(entities, **{option: value})
