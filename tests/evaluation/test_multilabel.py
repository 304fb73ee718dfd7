import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unroll.evaluation.multilabel import multilabel_scores

NAMES = ["politics", "sport", "weather"]
COUNTS = ["true positives", "false positives", "false negatives", "true negatives"]
texts = st.integers(1, 12).flatmap(
    lambda size: st.tuples(arrays(bool, (size, 3)), arrays(np.float64, (size, 3), elements=st.floats(0, 1)))
)


def test_scores_of_a_worked_example() -> None:
    # all right, one label too many, one missed, and rightly none; sport is neither gold nor predicted
    gold = [[True, False, True], [True, False, False], [True, False, True], [False] * 3]
    probabilities = [[0.9, 0.1, 0.8], [0.9, 0.1, 0.6], [0.5, 0.1, 0.8], [0.1] * 3]
    scores = multilabel_scores(gold, probabilities, NAMES)
    assert scores.metrics == pytest.approx(
        {
            "test/accuracy": 2 / 4,
            "test/precision": 4 / 5,
            "test/recall": 4 / 5,
            "test/f1": 4 / 5,
            "test/macro_f1": 4 / 5,
            "test/calibration_error": (8 * 0.1 + 2 * 0.2 + 0.6 + 0.5) / 12,
        }
    )
    assert scores.classes.to_numpy().tolist() == [
        ["politics", 1.0, pytest.approx(2 / 3), pytest.approx(4 / 5), 3],
        ["sport", 0.0, 0.0, 0.0, 0],
        ["weather", pytest.approx(2 / 3), 1.0, pytest.approx(4 / 5), 2],
    ]
    assert scores.confusion.index.name == "label"
    assert scores.confusion.loc["weather"].to_dict() == dict(zip(COUNTS, [2, 1, 0, 1], strict=True))


@given(texts)
def test_scores_equal_scikit_learn(texts: tuple[np.ndarray, np.ndarray]) -> None:
    gold, probabilities = texts
    predicted = probabilities > 0.5
    scores = multilabel_scores(gold, probabilities, NAMES)
    micro = sklearn.metrics.precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    by_label = sklearn.metrics.precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)
    assert scores.metrics["test/accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(gold, predicted))
    found = [scores.metrics[f"test/{name}"] for name in ("precision", "recall", "f1")]
    assert found == pytest.approx(micro[:3])
    assert list(scores.classes["label"]) == NAMES
    np.testing.assert_allclose(scores.classes.iloc[:, 1:].to_numpy(float), np.transpose(by_label))
    occurring = np.flatnonzero((gold | predicted).any(axis=0))
    if len(occurring):
        macro = sklearn.metrics.f1_score(gold, predicted, labels=occurring, average="macro", zero_division=0)
        assert scores.metrics["test/macro_f1"] == pytest.approx(macro)
    matrices = sklearn.metrics.multilabel_confusion_matrix(gold, predicted)  # (L, 2, 2) of [[TN, FP], [FN, TP]]
    assert scores.confusion[COUNTS].to_numpy().tolist() == matrices[:, [1, 0, 1, 0], [1, 1, 0, 0]].tolist()


def test_a_single_label_is_scored_where_it_is_given_not_where_it_is_withheld() -> None:
    metrics = multilabel_scores([[True], [False], [False]], [[0.1], [0.1], [0.1]], ["spam"]).metrics
    assert (metrics["test/accuracy"], metrics["test/f1"], metrics["test/macro_f1"]) == (pytest.approx(2 / 3), 0, 0)


def test_without_any_label_all_scores_of_labels_are_zero() -> None:
    metrics = multilabel_scores(np.zeros((2, 3)), np.full((2, 3), 0.1), NAMES).metrics
    assert metrics["test/accuracy"] == 1
    assert metrics["test/precision"] == metrics["test/recall"] == metrics["test/f1"] == metrics["test/macro_f1"] == 0


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "test split is empty"),
        (np.zeros((2, 3)), np.zeros((1, 3)), r"shape \(2, 3\) and probabilities \(1, 3\)"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "one column for each of 3 label names"),
        (np.zeros((2, 3)), np.full((2, 3), 1.1), "confidence=1.1 is not a probability"),
        (np.zeros((2, 3)), np.full((2, 3), np.nan), "confidence=nan is not a probability"),
    ],
)
def test_unusable_input_is_named(labels: np.ndarray, probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multilabel_scores(labels, probabilities, NAMES)
