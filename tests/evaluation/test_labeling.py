import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score

from unroll.evaluation.labeling import labeling_scores

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


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
