"""Scores of labeling: one tag per token, and the entities that the tags form."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.tags import OUTSIDE, spans
from unroll.evaluation.scores import ScoredPredictions, Scores, confusion_counts, scores_by_class
from unroll.statistics.metrics import calibration_error, precision_recall_f1


def score_tags(split: EncodedSplit, predictions: Sequence[Prediction], label_names: list[str]) -> ScoredPredictions:
    """Score the predictions for a split; the probability to store for each token is that of its predicted tag."""
    gold = [[label_names[i] for i in split.labels[start:end]] for start, end in pairwise(split.offsets)]
    predicted = [[label_names[i] for i in found.labels] for found in predictions]
    confidences = [np.take_along_axis(it.probabilities, it.labels[:, None], axis=1)[:, 0] for it in predictions]
    return ScoredPredictions(labeling_scores(gold, predicted, confidences, label_names), gold, predicted, confidences)


def labeling_scores(
    labels: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    confidences: Sequence[Sequence[float] | NDArray[np.floating]],
    label_names: Sequence[str],
) -> Scores:
    """Score one predicted IOB tag per token; precision, recall and F1 count entities (micro), as ``conlleval`` does.

    Args:
        labels, predicted: the tags of each sentence.
        confidences: the probability of each predicted tag.

    Raises:
        ValueError: there are no tokens, sentences differ in length, or a tag is missing from ``label_names``.
    """
    _check_aligned(labels, predicted, confidences)
    gold_tags = [tag for sentence in labels for tag in sentence]
    predicted_tags = [tag for sentence in predicted for tag in sentence]
    if not gold_tags:
        raise ValueError("the test split contains no token: nothing to score")
    if unknown := sorted({*gold_tags, *predicted_tags} - set(label_names)):
        raise ValueError(f"unknown tags {unknown}; accepted: {list(label_names)}")

    gold: Counter[str] = Counter()  # entities by type
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()  # with the right type, first and last token
    for true, given in zip(labels, predicted, strict=True):
        true_spans, given_spans = set(spans(true)), set(spans(given))
        gold.update(span.type for span in true_spans)
        found.update(span.type for span in given_spans)
        right.update(span.type for span in true_spans & given_spans)
    precision, recall, f1 = precision_recall_f1(right.total(), found.total(), gold.total())
    types = list(dict.fromkeys(name.partition("-")[2] for name in label_names if name != OUTSIDE))
    is_right = np.array(gold_tags) == np.array(predicted_tags)
    index = {name: i for i, name in enumerate(label_names)}
    gold_ids, predicted_ids = (np.array([index[tag] for tag in tags]) for tags in (gold_tags, predicted_tags))
    metrics = {
        "test/accuracy": float(is_right.mean()),
        "test/precision": precision,
        "test/recall": recall,
        "test/f1": f1,
        "test/calibration_error": calibration_error(np.concatenate(list(confidences)), is_right),
    }
    classes = scores_by_class(types, *([counts[name] for name in types] for counts in (right, found, gold)))
    return Scores(metrics, classes, confusion_counts(gold_ids, predicted_ids, label_names))


def _check_aligned(
    labels: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    confidences: Sequence[Sequence[float] | NDArray[np.floating]],
) -> None:
    if not len(labels) == len(predicted) == len(confidences):
        raise ValueError(
            f"{len(labels)} sentences of labels, {len(predicted)} of predicted tags and {len(confidences)} of "
            "confidences; accepted: equal numbers"
        )
    for row, (gold_tags, tags, values) in enumerate(zip(labels, predicted, confidences, strict=True)):
        if not len(gold_tags) == len(tags) == len(values):
            raise ValueError(
                f"sentence {row} has {len(gold_tags)} labels, {len(tags)} predicted tags and {len(values)} "
                "confidences; accepted: one of each per token"
            )
