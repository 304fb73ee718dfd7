import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score as entity_f1_score
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from unroll.evaluation.example_counts import example_counts
from unroll.statistics.metrics import micro_f1

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SENTENCE = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=8)
LABEL = st.sampled_from("abc")


def predictions(label: list, predicted: list) -> pd.DataFrame:
    return pd.DataFrame({"row": range(len(label)), "label": label, "predicted": predicted})


def test_counts_of_a_worked_example() -> None:
    # one right and one of another type; one cut short; a sentence without any
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "I-LOC"], ["O"]]
    found = [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "O"], ["O"]]
    assert example_counts(predictions(gold, found), "labeling").tolist() == [[1, 2, 2], [0, 1, 1], [0, 0, 0]]


@given(st.lists(SENTENCE, min_size=1, max_size=5))
@pytest.mark.filterwarnings("ignore::UserWarning")  # seqeval warns where it puts 0 for 0 / 0
def test_micro_f1_of_labeling_is_that_of_seqeval(corpus: list[list[tuple[str, str]]]) -> None:
    gold, found = ([[pair[side] for pair in sentence] for sentence in corpus] for side in (0, 1))
    counts = example_counts(predictions(gold, found), "labeling")
    assert micro_f1(counts) == pytest.approx(entity_f1_score(gold, found))


@given(st.lists(st.tuples(LABEL, LABEL), min_size=1))
def test_micro_f1_of_classification_is_accuracy(pairs: list[tuple[str, str]]) -> None:
    gold, found = map(list, zip(*pairs, strict=True))
    assert micro_f1(example_counts(predictions(gold, found), "classification")) == accuracy_score(gold, found)


@given(st.lists(st.tuples(st.sets(LABEL), st.sets(LABEL)), min_size=1))
def test_micro_f1_of_multilabel_is_that_of_scikit_learn(pairs: list[tuple[set[str], set[str]]]) -> None:
    gold, found = ([sorted(pair[side]) for pair in pairs] for side in (0, 1))
    binary = MultiLabelBinarizer(classes=list("abc"))
    expected = f1_score(binary.fit_transform(gold), binary.fit_transform(found), average="micro", zero_division=0)
    assert micro_f1(example_counts(predictions(gold, found), "multilabel")) == pytest.approx(expected)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ValueError, match="task='regression'; accepted: classification, labeling, multilabel"):
        example_counts(predictions(["a"], ["a"]), "regression")
