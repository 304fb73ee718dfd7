import pytest

from unroll.evaluation.scores import metric_title


@pytest.mark.parametrize(
    ("task", "title"), [("classification", "f1"), ("labeling", "entity F1"), ("multilabel", "micro F1")]
)
def test_f1_is_called_by_what_it_counts(task: str, title: str) -> None:
    assert metric_title("test/f1", task) == metric_title("f1", task) == title
