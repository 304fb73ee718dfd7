import warnings
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score
from torch import Tensor

from tests.launches import Launches
from unroll.data.tags import spans
from unroll.data.tokens import IGNORE, Task
from unroll.training.metrics import (
    EntityF1,
    MacroF1,
    Mean,
    Ratio,
    accuracy,
    label_f1,
    subset_accuracy,
    validation_metrics,
)

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
tags = st.integers(0, len(TAGS) - 1)
sentence = st.lists(st.tuples(tags, tags), min_size=1, max_size=8)  # (predicted, true) per token
batch = st.lists(sentence, min_size=1, max_size=4)
batches = st.lists(batch, min_size=1, max_size=4)


def pad(sentences: list[list[tuple[int, int]]]) -> tuple[Tensor, Tensor]:
    """Predicted and true tags, (B, T) each; networks also predict tags at padding."""
    steps = max(map(len, sentences))
    predicted = [[p for p, _ in tokens] + [1] * (steps - len(tokens)) for tokens in sentences]
    labels = [[t for _, t in tokens] + [IGNORE] * (steps - len(tokens)) for tokens in sentences]
    return torch.tensor(predicted), torch.tensor(labels)


@settings(max_examples=50, deadline=None)
@given(batches)
def test_entity_f1_equals_seqeval_over_several_batches(batches: list[list[list[tuple[int, int]]]]) -> None:
    metric = Ratio(EntityF1(TAGS))
    for sentences in batches:
        metric.update(*pad(sentences))
    together = [tokens for sentences in batches for tokens in sentences]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns where there are no entities
        expected = f1_score(
            [[TAGS[t] for _, t in tokens] for tokens in together],
            [[TAGS[p] for p, _ in tokens] for tokens in together],
        )
    assert metric.compute().item() == pytest.approx(expected, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(batch, st.permutations(TAGS))
def test_entities_are_those_of_the_spans_whatever_the_order_of_tags(
    sentences: list[list[tuple[int, int]]], names: list[str]
) -> None:
    doubled, entities = EntityF1(names)(*pad(sentences))
    pairs = [[set(spans([names[tag] for tag in tags])) for tags in zip(*own, strict=True)] for own in sentences]
    assert doubled.item() == sum(2 * len(found & true) for found, true in pairs)
    assert entities.item() == sum(len(found) + len(true) for found, true in pairs)


@settings(max_examples=50, deadline=None)
@given(batches)
def test_macro_f1_equals_scikit_learn_over_several_batches(batches: list[list[list[tuple[int, int]]]]) -> None:
    metric = MacroF1(len(TAGS))
    for sentences in batches:
        metric.update(*pad(sentences))
    predicted, labels = np.array([pair for sentences in batches for tokens in sentences for pair in tokens]).T
    assert metric.compute().item() == pytest.approx(sklearn.metrics.f1_score(labels, predicted, average="macro"))


@settings(max_examples=50, deadline=None)
@given(batches)
def test_accuracy_of_tokens_leaves_padding_out(batches: list[list[list[tuple[int, int]]]]) -> None:
    metric = Ratio(accuracy)
    for sentences in batches:
        metric.update(*pad(sentences))
    predicted, labels = np.array([pair for sentences in batches for tokens in sentences for pair in tokens]).T
    assert metric.compute().item() == pytest.approx(accuracy_score(labels, predicted), abs=1e-6)


def test_accuracy_of_sequences_weighs_every_sequence_alike() -> None:
    metric = Ratio(accuracy)
    metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]))
    metric.update(torch.tensor([1]), torch.tensor([0]))
    assert metric.compute().item() == 0.5


label_set = st.tuples(*[st.booleans()] * 3)
text = st.tuples(label_set, label_set)  # (predicted, true)
label_batches = st.lists(st.lists(text, min_size=1, max_size=5), min_size=1)


@settings(max_examples=50, deadline=None)
@given(label_batches)
def test_scores_of_label_sets_equal_scikit_learn_over_several_batches(
    batches: list[list[tuple[tuple[bool, ...], tuple[bool, ...]]]],
) -> None:
    accuracy, f1 = Ratio(subset_accuracy), Ratio(label_f1)
    for texts in batches:
        for metric in (accuracy, f1):
            metric.update(*torch.tensor(texts).unbind(dim=1))
    predicted, labels = np.array([pair for texts in batches for pair in texts]).swapaxes(0, 1)
    assert accuracy.compute().item() == pytest.approx(accuracy_score(labels, predicted), abs=1e-6)
    expected = sklearn.metrics.f1_score(labels, predicted, average="micro", zero_division=0)
    assert f1.compute().item() == pytest.approx(expected, abs=1e-6)


def test_entity_f1_is_zero_where_there_are_no_entities() -> None:
    metric = Ratio(EntityF1(TAGS))
    metric.update(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long))
    assert metric.compute().item() == 0


def test_an_entity_counts_only_where_both_ends_and_the_type_are_right() -> None:
    metric = Ratio(EntityF1(TAGS))
    gold = [[1, 2, 0, 3, 0, 1]]  # PER of two tokens, LOC, PER
    guess = [[1, 0, 0, 3, 0, 3]]  # the first too short, the last of another type
    metric.update(torch.tensor(guess), torch.tensor(gold))
    assert metric.compute().item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("make", [lambda: Ratio(accuracy), lambda: Ratio(EntityF1(TAGS))])
def test_a_reset_metric_begins_again(make: Callable[[], Ratio]) -> None:
    used, fresh = make(), make()
    used.update(torch.tensor([[1, 0]]), torch.tensor([[3, 3]]))
    used.reset()
    for metric in (used, fresh):
        metric.update(torch.tensor([[1, 2]]), torch.tensor([[1, 2]]))
    assert used.compute() == fresh.compute() == 1


def test_reset_metrics_of_label_sets_begin_again() -> None:
    for metric in (Ratio(subset_accuracy), Ratio(label_f1)):
        metric.update(torch.tensor([[True, False]]), torch.tensor([[False, True]]))
        metric.reset()
        metric.update(torch.tensor([[True, False]]), torch.tensor([[True, False]]))
        assert metric.compute() == 1


def test_models_are_chosen_by_the_score_of_their_task() -> None:
    assert list(validation_metrics("classification", ["no", "yes"])) == ["val/accuracy"]
    assert list(validation_metrics("labeling", TAGS)) == ["val/accuracy", "val/f1"]
    assert list(validation_metrics("multilabel", ["no", "yes"])) == ["val/accuracy", "val/f1"]


@pytest.mark.parametrize("task", ["classification", "multilabel", "labeling", "tagging"])
def test_a_batch_is_counted_without_waiting_for_its_device(task: Task) -> None:
    shape = {"classification": (4,), "multilabel": (4, len(TAGS))}.get(task, (4, 6))
    predicted, labels = torch.ones(2, *shape, dtype=torch.bool if task == "multilabel" else torch.long, device="meta")
    for metric in validation_metrics(task, TAGS).values():
        metric.to("meta")
        with Launches("meta"):
            metric.update(predicted, labels)


def test_a_mean_weighs_its_values_and_starts_anew_after_a_reset() -> None:
    mean = Mean()
    mean.update(torch.tensor(2.0))
    mean.update(torch.tensor(5.0), torch.tensor(3))
    assert mean.compute().item() == pytest.approx(17 / 4)
    mean.reset()
    assert mean.compute().isnan()
    mean.update(torch.tensor(7.0))
    assert mean.compute().item() == 7.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_mean_is_not_finite_once_a_value_is_not(value: float) -> None:
    mean = Mean()
    for it in (1.0, value, 1.0):
        mean.update(torch.tensor(it))
    assert not mean.compute().isfinite()


def test_a_mean_is_saved_only_where_it_is_asked_for() -> None:
    assert list(Mean().state_dict()) == []
    saved, restored = Mean(is_saved=True), Mean(is_saved=True)
    saved.update(torch.tensor(2.0), 3)
    restored.load_state_dict(saved.state_dict())
    restored.update(torch.tensor(6.0))
    assert restored.compute().item() == 3.0


def test_a_mean_is_over_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process has the sum 10 of a weight of 4."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: sums.add_(torch.tensor([10.0, 4.0])))
    mean = Mean()
    mean.update(torch.tensor(5.0))
    for _ in range(2):  # what is added to is not the sums of this process
        assert mean.compute().item() == 3.0
