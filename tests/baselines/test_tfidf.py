from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from unroll.baselines import TfIdf
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.ragged import Ragged

OPTIONS = {"ngram_range": [1, 2], "min_count": 2, "C": 3.0, "max_iterations": 1000}


def fitted(data: PreparedData, train: EncodedSplit | None = None, **options: Any) -> TfIdf:
    model = TfIdf(data.task, data.label_names, len(data.schema.vocabulary), **(OPTIONS | options))
    model.fit(train or data.split("train"), data.split("validation"))
    return model


def texts(data: PreparedData, name: str) -> list[list[str]]:
    """The words of each text, as in the vocabulary."""
    split = data.split(name)
    words = [data.schema.vocabulary[i] for i in split.table.words[split.tokens]]
    return [words[start:end] for start, end in zip(split.offsets, split.offsets[1:], strict=False)]


def reference(data: PreparedData, strength: float = 3.0) -> Pipeline:
    """The same model as a scikit-learn pipeline."""
    regression = LogisticRegression(C=strength, max_iter=1000)
    return make_pipeline(
        TfidfVectorizer(tokenizer=list, token_pattern=None, lowercase=False, ngram_range=(1, 2), min_df=2),
        OneVsRestClassifier(regression) if data.task == "multilabel" else regression,
    ).fit(texts(data, "train"), data.split("train").labels)


def predictions(model: TfIdf, data: PreparedData, split: str = "test") -> list[Prediction]:
    return model.predict(data.split(split), batch_size=8)


def probabilities(model: TfIdf, data: PreparedData, split: str = "test") -> np.ndarray:
    return np.array([prediction.probabilities for prediction in predictions(model, data, split)])


@pytest.mark.parametrize("dataset", ["reviews", "topics", "three_classes"])
def test_predictions_equal_those_of_a_scikit_learn_pipeline(dataset: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(dataset)
    model, expected = fitted(data), reference(data)
    test = texts(data, "test")
    assert probabilities(model, data) == pytest.approx(expected.predict_proba(test), abs=1e-9)
    assert np.array_equal([prediction.labels for prediction in predictions(model, data)], expected.predict(test))


def test_the_strength_is_that_with_the_least_loss_on_validation(reviews: PreparedData) -> None:
    strengths = [0.1, 1.0, 10.0, 100.0, 1000.0]
    losses = [
        log_loss(
            reviews.split("validation").labels,
            reference(reviews, strength).predict_proba(texts(reviews, "validation")),
        )
        for strength in strengths
    ]
    best = strengths[int(np.argmin(losses))]
    assert best not in (strengths[0], strengths[-1])
    chosen, alone = fitted(reviews, C=strengths), fitted(reviews, C=best)
    assert np.array_equal(probabilities(chosen, reviews), probabilities(alone, reviews))


def test_the_same_data_give_the_same_bytes(topics: PreparedData, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        fitted(topics, C=[1.0, 10.0]).save(tmp_path / name)
    first, second = (tmp_path / name / "weights.safetensors" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_a_loaded_model_predicts_like_the_saved_one(reviews: PreparedData, tmp_path: Path) -> None:
    model = fitted(reviews)
    model.save(tmp_path)
    loaded = TfIdf(reviews.task, reviews.label_names, len(reviews.schema.vocabulary), **OPTIONS)
    loaded.load(tmp_path)
    assert np.array_equal(probabilities(loaded, reviews), probabilities(model, reviews))
    assert loaded.num_parameters == model.num_parameters > 0


def test_all_texts_of_unknown_words_have_the_same_probabilities(reviews: PreparedData) -> None:
    test = reviews.split("test")
    unknown = replace(test, sequences=Ragged(np.zeros_like(test.tokens), test.offsets))
    found = fitted(reviews).predict(unknown, batch_size=8)
    assert len({prediction.probabilities.tobytes() for prediction in found}) == 1


def with_labels(data: PreparedData, labels: np.ndarray) -> EncodedSplit:
    return replace(data.split("train"), labels=labels)


def test_a_label_without_training_texts_is_never_predicted(three_classes: PreparedData) -> None:
    labels = np.array(three_classes.split("train").labels) % 2
    found = probabilities(fitted(three_classes, with_labels(three_classes, labels)), three_classes)
    assert (found[:, 2] == 0).all()
    assert found.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("given", [False, True])
def test_one_of_several_labels_that_never_changes_keeps_its_frequency(given: bool, topics: PreparedData) -> None:
    labels = np.array(topics.split("train").labels)
    labels[:, 1] = given
    found = probabilities(fitted(topics, with_labels(topics, labels)), topics)[:, 1]
    assert found == pytest.approx((len(labels) * given + 0.5) / (len(labels) + 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_count": 0}, "min_count=0; accepted: 1 or more"),
        ({"max_iterations": 0}, "max_iterations=0; accepted: 1 or more"),
        ({"C": 0.0}, "C=0.0; accepted: a number above 0, or a list of such numbers"),
        ({"C": []}, r"C=\[\]; accepted: a number above 0, or a list of such numbers"),
        ({"C": [1.0, -1.0]}, r"C=\[1.0, -1.0\]; accepted: a number above 0"),
        ({"min_count": 45}, "model.min_count=45; accepted: a smaller number, since no n-gram is in that many texts"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str, reviews: PreparedData) -> None:
    with pytest.raises(ValueError, match=message):
        fitted(reviews, **options)
