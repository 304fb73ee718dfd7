from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score

from unroll.evaluation.scores import calibration_error, classification_scores, entity_f1, labeling_scores

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
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
        ([0, 1], np.eye(2), r"shape \(2, 2\)"),
        ([0, -1], np.eye(3)[:2], "run from -1 to 0: accepted are 0 to 2"),
        ([0, 3], np.eye(3)[:2], "run from 0 to 3: accepted are 0 to 2"),
    ],
)
def test_unusable_classification_input_is_named(labels: list[int], probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_scores(labels, probabilities, NAMES)


def test_labeling_scores_of_a_worked_example() -> None:
    # three entities to find, three found: one right, one of another type, one cut short
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "I-LOC"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "O"]]
    scores = labeling_scores(gold, predicted, [[1.0] * 4, [1.0] * 2], TAGS)
    assert scores.metrics == pytest.approx(
        {
            "test/accuracy": 4 / 6,
            "test/precision": 1 / 3,
            "test/recall": 1 / 3,
            "test/f1": 1 / 3,
            "test/calibration_error": 2 / 6,
        }
    )
    assert scores.classes.to_numpy().tolist() == [
        ["PER", 1 / 2, 1.0, pytest.approx(2 / 3), 1],
        ["LOC", 0.0, 0.0, 0.0, 2],
    ]
    assert scores.confusion.loc["B-LOC"].to_dict() == {"O": 0, "B-PER": 1, "I-PER": 0, "B-LOC": 1, "I-LOC": 0}
    assert scores.confusion.to_numpy().sum() == 6


pairs = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=8)


@given(st.lists(pairs, min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore::UserWarning")  # seqeval warns where it puts 0 for 0 / 0
def test_labeling_scores_equal_seqeval(corpus: list[list[tuple[str, str]]]) -> None:
    gold = [[tag for tag, _ in sentence] for sentence in corpus]
    predicted = [[tag for _, tag in sentence] for sentence in corpus]
    scores = labeling_scores(gold, predicted, [[0.5] * len(sentence) for sentence in corpus], TAGS)
    assert scores.metrics["test/precision"] == pytest.approx(precision_score(gold, predicted))
    assert scores.metrics["test/recall"] == pytest.approx(recall_score(gold, predicted))
    assert scores.metrics["test/f1"] == pytest.approx(f1_score(gold, predicted))
    if any(tag != "O" for sentence in [*gold, *predicted] for tag in sentence):
        report = classification_report(gold, predicted, output_dict=True)
        for label, *values in scores.classes.itertuples(index=False):
            expected = report[label].values() if label in report else [0, 0, 0, 0]
            assert values == pytest.approx(list(expected))


@pytest.mark.parametrize(
    ("labels", "predicted", "confidences", "message"),
    [
        ([], [], [], "holds no token"),
        ([["O"]], [["O"], ["O"]], [[1.0]], "1 sentences of labels, 2 of predicted"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], [[1.0], [1.0]], "sentence 1 has 2 labels, 1 predicted"),
        ([["B-ORG"]], [["O"]], [[1.0]], r"unknown tags \['B-ORG'\]"),
    ],
)
def test_unusable_labeling_input_is_named(
    labels: list[list[str]], predicted: list[list[str]], confidences: list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        labeling_scores(labels, predicted, confidences, TAGS)


def test_entity_f1_is_undefined_without_a_gold_entity() -> None:
    assert np.isnan(entity_f1([["O", "O"]], [["O", "B-PER"]]))
    assert entity_f1([["O", "B-PER"]], [["O", "O"]]) == 0.0


def test_calibration_error_of_a_worked_example() -> None:
    # two bins: (12/15, 13/15] holds 0.81 and 0.85 with accuracy 1/2, (3/15, 4/15] holds 0.25 with accuracy 1
    expected = 2 / 3 * abs(0.5 - 0.83) + 1 / 3 * abs(1 - 0.25)
    assert calibration_error([0.81, 0.85, 0.25], [True, False, True]) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_error_follows_its_definition(predictions: list[tuple[float, bool]]) -> None:
    expected, edges = 0.0, np.linspace(0, 1, 16)
    for low, high in pairwise(edges):
        inside = [(c, hit) for c, hit in predictions if low < c <= high or c == low == 0]
        if inside:
            confidence, accuracy = np.mean([c for c, _ in inside]), np.mean([hit for _, hit in inside])
            expected += len(inside) / len(predictions) * abs(accuracy - confidence)
    confidences, correct = zip(*predictions, strict=True)
    assert calibration_error(confidences, correct) == pytest.approx(expected)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_confidence_that_is_no_probability_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=f"confidence {value} is no probability"):
        calibration_error([0.5, value], [True, True])
