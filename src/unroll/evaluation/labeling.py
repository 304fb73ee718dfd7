"""Scores of labeling: one tag per token, and the entities that the tags form."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from unroll.data.tags import OUTSIDE, spans
from unroll.evaluation.scores import Scores, confusion_counts, micro_scores, scores_by_class
from unroll.statistics.metrics import calibration_error


def labeling_scores(
    labels: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    confidences: Sequence[Sequence[float] | NDArray[np.floating]],
    label_names: Sequence[str],
) -> Scores:
    """Score one predicted IOB tag per token of each sentence, with the `confidences` in them.

    Precision, recall and F1 count entities (micro), as ``conlleval`` does. Unusable input is a ValueError.
    """
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

    by_type: list[Counter[str]] = [Counter(), Counter(), Counter()]  # right, found and gold entities
    for true, given in zip(labels, predicted, strict=True):
        gold, found = set(spans(true)), set(spans(given))
        for counter, entities in zip(by_type, (gold & found, found, gold), strict=True):
            counter.update(span.type for span in entities)
    types = list(dict.fromkeys(name.partition("-")[2] for name in label_names if name != OUTSIDE))
    counts = [[counter[name] for name in types] for counter in by_type]
    index = {name: i for i, name in enumerate(label_names)}
    gold_ids, predicted_ids = (np.array([index[tag] for tag in tags]) for tags in (gold_tags, predicted_tags))
    is_right = gold_ids == predicted_ids
    metrics = {
        "test/accuracy": float(is_right.mean()),
        **micro_scores(*counts),
        "test/calibration_error": calibration_error(np.concatenate(list(confidences)), is_right),
    }
    return Scores(metrics, scores_by_class(types, *counts), confusion_counts(gold_ids, predicted_ids, label_names))
