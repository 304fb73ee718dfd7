import numpy as np
import pytest
import sklearn.metrics

from unroll.evaluation.classification import classification_scores

NAMES = ["bad", "fair", "good"]


@pytest.fixture(scope="module")
def texts() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 3, size=200), generator.dirichlet(np.ones(3), size=200)


def test_classification_metrics_equal_scikit_learn(texts: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = texts
    predicted = probabilities.argmax(axis=1)
    metrics = classification_scores(labels, probabilities, NAMES).metrics
    assert metrics["test/accuracy"] == sklearn.metrics.accuracy_score(labels, predicted)
    assert metrics["test/macro_f1"] == sklearn.metrics.f1_score(labels, predicted, average="macro")


def test_classification_classes_equal_scikit_learn(texts: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = texts
    classes = classification_scores(labels, probabilities, NAMES).classes.set_index("label")
    report = sklearn.metrics.classification_report(
        labels, probabilities.argmax(axis=1), target_names=NAMES, output_dict=True
    )
    for name in NAMES:
        assert classes.loc[name].tolist() == pytest.approx(list(report[name].values()))


def test_classification_confusion_counts_gold_in_rows() -> None:
    confusion = classification_scores([0, 0, 2], np.eye(3)[[0, 2, 2]], NAMES).confusion
    assert confusion.index.name == "gold"
    assert confusion.loc["bad"].to_dict() == {"bad": 1, "fair": 0, "good": 1}
    assert confusion.loc["fair"].sum() == 0


def test_macro_f1_leaves_out_a_label_that_never_occurs() -> None:
    metrics = classification_scores([0, 1], np.eye(3)[[0, 1]], NAMES).metrics
    assert metrics["test/macro_f1"] == 1.0


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([], np.empty((0, 3)), "test split is empty"),
        ([0, 1], np.eye(2), r"probabilities have shape \(2, 2\)"),
        ([0, -1], np.eye(3)[:2], "are in -1 to 0; accepted: 0 to 2"),
        ([0, 3], np.eye(3)[:2], "are in 0 to 3; accepted: 0 to 2"),
    ],
)
def test_unusable_classification_input_is_named(labels: list[int], probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_scores(labels, probabilities, NAMES)
