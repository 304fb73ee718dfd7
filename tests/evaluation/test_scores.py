import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score

from unroll.evaluation.scores import classification_scores, labeling_scores, metric_title, multilabel_scores

NAMES = ["bad", "fair", "good"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TOPICS = ["politics", "sport", "weather"]
COUNTS = ["true positives", "false positives", "false negatives", "true negatives"]


@pytest.mark.parametrize(
    ("task", "title"), [("classification", "f1"), ("labeling", "entity F1"), ("multilabel", "micro F1")]
)
def test_f1_is_called_by_what_it_counts(task: str, title: str) -> None:
    assert metric_title("test/f1", task) == metric_title("f1", task) == title


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
        ([], [], [], "contains no token"),
        ([["O"]], [["O"], ["O"]], [[1.0]], "1 sentences of labels, 2 of predicted"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], [[1.0], [1.0]], "sentence 1 has 2 labels, 1 predicted"),
        ([["B-ORG"]], [["O"]], [[1.0]], r"unknown tags \['B-ORG'\]; accepted: "),
    ],
)
def test_unusable_labeling_input_is_named(
    labels: list[list[str]], predicted: list[list[str]], confidences: list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        labeling_scores(labels, predicted, confidences, TAGS)


topic_texts = st.integers(1, 12).flatmap(
    lambda size: st.tuples(arrays(bool, (size, 3)), arrays(np.float64, (size, 3), elements=st.floats(0, 1)))
)


def test_multilabel_scores_of_a_worked_example() -> None:
    # all right, one label too many, one missed, and rightly none; sport is neither gold nor predicted
    gold = [[True, False, True], [True, False, False], [True, False, True], [False] * 3]
    probabilities = [[0.9, 0.1, 0.8], [0.9, 0.1, 0.6], [0.5, 0.1, 0.8], [0.1] * 3]
    scores = multilabel_scores(gold, probabilities, TOPICS)
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


@given(topic_texts)
def test_multilabel_scores_equal_scikit_learn(texts: tuple[np.ndarray, np.ndarray]) -> None:
    gold, probabilities = texts
    predicted = probabilities > 0.5
    scores = multilabel_scores(gold, probabilities, TOPICS)
    micro = sklearn.metrics.precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    by_label = sklearn.metrics.precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)
    assert scores.metrics["test/accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(gold, predicted))
    found = [scores.metrics[f"test/{name}"] for name in ("precision", "recall", "f1")]
    assert found == pytest.approx(micro[:3])
    assert list(scores.classes["label"]) == TOPICS
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
    metrics = multilabel_scores(np.zeros((2, 3)), np.full((2, 3), 0.1), TOPICS).metrics
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
def test_unusable_multilabel_input_is_named(labels: np.ndarray, probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multilabel_scores(labels, probabilities, TOPICS)
