"""Scores of labels of tokens: of the tags, and of the entities that tags form."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unroll.data.tags import OUTSIDE, spans
from unroll.evaluation.scores import Scores, confusion_counts, macro_f1, micro_scores, scores_by_class
from unroll.statistics.metrics import calibration_error

Sentences = Sequence[Sequence[str]]
Confidences = Sequence[Sequence[float] | NDArray[np.floating]]


def labeling_scores(
    labels: Sentences, predicted: Sentences, confidences: Confidences, label_names: Sequence[str]
) -> Scores:
    """Score one predicted IOB tag per token of each sentence, with the `confidences` in them.

    Precision, recall and F1 count entities (micro), as ``conlleval`` does. Unusable input is a ValueError.
    """
    confusion, accuracy, error = _score_tags(labels, predicted, confidences, label_names)
    by_type: list[Counter[str]] = [Counter(), Counter(), Counter()]  # right, found and gold entities
    for true, given in zip(labels, predicted, strict=True):
        gold, found = set(spans(true)), set(spans(given))
        for counter, entities in zip(by_type, (gold & found, found, gold), strict=True):
            counter.update(span.type for span in entities)
    types = list(dict.fromkeys(name.partition("-")[2] for name in label_names if name != OUTSIDE))
    counts = [[counter[name] for name in types] for counter in by_type]
    metrics = {"test/accuracy": accuracy, **micro_scores(*counts), "test/calibration_error": error}
    return Scores(metrics, scores_by_class(types, *counts), confusion)


def tagging_scores(
    labels: Sentences, predicted: Sentences, confidences: Confidences, label_names: Sequence[str]
) -> Scores:
    """Score one predicted plain tag per token of each sentence, with the `confidences` in them.

    F1 is the mean over the tags that occur as gold or as predicted (macro). Unusable input is a ValueError.
    """
    confusion, accuracy, error = _score_tags(labels, predicted, confidences, label_names)
    counts = confusion.to_numpy()
    found = counts.sum(axis=0)
    classes = scores_by_class(label_names, np.diag(counts), found, counts.sum(axis=1))
    metrics = {"test/accuracy": accuracy, "test/f1": macro_f1(classes, found), "test/calibration_error": error}
    return Scores(metrics, classes, confusion)


def _score_tags(
    labels: Sentences, predicted: Sentences, confidences: Confidences, label_names: Sequence[str]
) -> tuple[pd.DataFrame, float, float]:
    """The confusion counts of the tags, their accuracy and their calibration error."""
    if not len(labels) == len(predicted) == len(confidences):
        raise ValueError(
            f"{len(labels)} sentences of labels, {len(predicted)} of predicted tags and {len(confidences)} of "
            "confidences; accepted: equal numbers"
        )
    sizes = (map(len, part) for part in (labels, predicted, confidences))
    for row, (size, size_predicted, size_confidences) in enumerate(zip(*sizes, strict=True)):
        if not size == size_predicted == size_confidences:
            raise ValueError(
                f"sentence {row} has {size} labels, {size_predicted} predicted tags and {size_confidences} "
                "confidences; accepted: one of each per token"
            )
    gold_tags, predicted_tags = (list(chain.from_iterable(part)) for part in (labels, predicted))
    if not gold_tags:
        raise ValueError("the test split contains no token: nothing to score")
    if unknown := sorted({*gold_tags, *predicted_tags} - set(label_names)):
        raise ValueError(f"unknown tags {unknown}; accepted: {list(label_names)}")

    index = {name: i for i, name in enumerate(label_names)}
    gold_ids, predicted_ids = (np.array([index[tag] for tag in tags]) for tags in (gold_tags, predicted_tags))
    is_right = gold_ids == predicted_ids
    confusion = confusion_counts(gold_ids, predicted_ids, label_names)
    return confusion, float(is_right.mean()), calibration_error(np.concatenate(list(confidences)), is_right)
