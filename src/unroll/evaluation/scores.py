"""Scores of one model's predictions on the test split. All are fractions in 0..1."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from unroll.data.tags import OUTSIDE, spans

MAIN_METRIC = {"classification": "accuracy", "labeling": "f1"}
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Scores:
    """What one run scored.

    metrics: name, such as ``test/accuracy``, to value.
    classes: one row a label, or entity type for labeling: label, precision, recall, f1, support.
    confusion: counts; rows are gold labels (index ``gold``), columns predicted ones; of tokens for labeling.
    """

    metrics: dict[str, float]
    classes: pd.DataFrame
    confusion: pd.DataFrame


def classification_scores(labels: ArrayLike, probabilities: ArrayLike, label_names: Sequence[str]) -> Scores:
    """Score one predicted distribution per text.

    labels: (N,) indices into ``label_names``. probabilities: (N, L), one column a label name.
    Macro F1 is the mean over the labels that occur as gold or as predicted.

    Raises ValueError for no rows, for other shapes, for a label outside 0..L-1, for no probabilities.
    """
    gold, distributions = np.asarray(labels), np.asarray(probabilities)
    if gold.size == 0:
        raise ValueError("the test split is empty: nothing to score")
    if distributions.shape != (len(gold), len(label_names)):
        raise ValueError(
            f"probabilities of shape {distributions.shape}: accepted is one row for each of "
            f"{len(gold)} labels, one column for each of {len(label_names)} label names"
        )
    if gold.min() < 0 or gold.max() >= len(label_names):
        raise ValueError(
            f"test labels run from {gold.min()} to {gold.max()}: accepted are 0 to {len(label_names) - 1}, "
            f"the indices of {list(label_names)}"
        )

    predicted = distributions.argmax(axis=1)
    indices = np.arange(len(label_names))
    precision, recall, f1, support = precision_recall_fscore_support(gold, predicted, labels=indices, zero_division=0)
    return Scores(
        metrics={
            "test/accuracy": float(accuracy_score(gold, predicted)),
            "test/macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
            "test/calibration_error": calibration_error(distributions.max(axis=1), predicted == gold),
        },
        classes=pd.DataFrame(
            {
                "label": list(label_names),
                "precision": precision,
                "recall": recall,
                "f1": f1,
                "support": support,
            }
        ),
        confusion=_confusion_table(confusion_matrix(gold, predicted, labels=indices), label_names),
    )


def labeling_scores(
    labels: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    confidences: Sequence[Sequence[float] | NDArray[np.floating]],
    label_names: Sequence[str],
) -> Scores:
    """Score one predicted IOB tag per token.

    labels, predicted: the tags of each sentence. confidences: the probability of each predicted tag.
    Precision, recall and F1 count whole entities over the corpus (micro), as ``conlleval`` does.

    Raises ValueError for no tokens, for sentences that do not match, for a tag that ``label_names`` lacks.
    """
    _check_aligned(labels, predicted, confidences)
    gold_tags = [tag for sentence in labels for tag in sentence]
    predicted_tags = [tag for sentence in predicted for tag in sentence]
    if not gold_tags:
        raise ValueError("the test split holds no token: nothing to score")
    unknown = sorted({*gold_tags, *predicted_tags} - set(label_names))
    if unknown:
        raise ValueError(f"unknown tags {unknown}: accepted are {list(label_names)}")

    gold, found, correct = _count_entities(labels, predicted)
    precision, recall, f1 = _precision_recall_f1(correct.total(), found.total(), gold.total())
    entity_types = dict.fromkeys(name.partition("-")[2] for name in label_names if name != OUTSIDE)
    classes = [
        (name, *_precision_recall_f1(correct[name], found[name], gold[name]), gold[name]) for name in entity_types
    ]
    is_correct = np.array(gold_tags) == np.array(predicted_tags)
    return Scores(
        metrics={
            "test/accuracy": float(is_correct.mean()),
            "test/precision": precision,
            "test/recall": recall,
            "test/f1": f1,
            "test/calibration_error": calibration_error(np.concatenate(list(confidences)), is_correct),
        },
        classes=pd.DataFrame(classes, columns=["label", "precision", "recall", "f1", "support"]),
        confusion=_confusion_table(confusion_matrix(gold_tags, predicted_tags, labels=list(label_names)), label_names),
    )


def entity_f1(labels: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> float:
    """Micro F1 over whole entities; NaN where there is no entity to find."""
    gold, found, correct = _count_entities(labels, predicted)
    return _precision_recall_f1(correct.total(), found.total(), gold.total())[2] if gold else float("nan")


def metric_title(name: str, task: str) -> str:
    """What people call a metric, with or without its split: ``test/f1`` is entity F1."""
    key = name.rpartition("/")[2]
    titles = {"f1": "entity F1", "macro_f1": "macro F1", "calibration_error": "calibration error"}
    if task == "labeling":
        titles |= {"accuracy": "token accuracy", "precision": "entity precision", "recall": "entity recall"}
    return titles.get(key, key)


def calibration_error(confidences: ArrayLike, correct: ArrayLike) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over equally wide bins.

    confidences: (N,) probability of each prediction. correct: (N,) whether it was right.
    Guo et al. 2017, equation 3, with 15 bins ((m-1)/15, m/15]. Raises ValueError for no probability.
    """
    confidence, hits = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    tolerance = 1e-4  # float32 softmax and CRF marginals overshoot 1 by rounding
    outside = ~((confidence >= 0) & (confidence <= 1 + tolerance))
    if outside.any():
        raise ValueError(f"confidence {confidence[outside][0]} is no probability: accepted is 0 to 1")
    inner_edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    bins = np.digitize(confidence, inner_edges, right=True)
    # |B_m| / N * |acc(B_m) - conf(B_m)| = |sum of (hit - confidence) over B_m| / N
    gaps = np.bincount(bins, weights=hits - confidence)
    return float(np.abs(gaps).sum() / len(confidence))


def _count_entities(
    labels: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Entities by type: gold, found, and found with the right type and borders."""
    gold: Counter[str] = Counter()
    found: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for gold_tags, predicted_tags in zip(labels, predicted, strict=True):
        gold_spans, found_spans = set(spans(gold_tags)), set(spans(predicted_tags))
        gold.update(span.type for span in gold_spans)
        found.update(span.type for span in found_spans)
        correct.update(span.type for span in gold_spans & found_spans)
    return gold, found, correct


def _precision_recall_f1(correct: int, found: int, gold: int) -> tuple[float, float, float]:
    """0 where a denominator is 0, as ``conlleval`` prints."""
    return (
        correct / found if found else 0.0,
        correct / gold if gold else 0.0,
        2 * correct / (found + gold) if found + gold else 0.0,
    )


def _confusion_table(counts: NDArray[np.int64], label_names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(counts, index=pd.Index(list(label_names), name="gold"), columns=list(label_names))


def _check_aligned(
    labels: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    confidences: Sequence[Sequence[float] | NDArray[np.floating]],
) -> None:
    if not len(labels) == len(predicted) == len(confidences):
        raise ValueError(
            f"{len(labels)} sentences of labels, {len(predicted)} of predicted tags and "
            f"{len(confidences)} of confidences: accepted is one of each per sentence"
        )
    for row, (gold_tags, tags, values) in enumerate(zip(labels, predicted, confidences, strict=True)):
        if not len(gold_tags) == len(tags) == len(values):
            raise ValueError(
                f"sentence {row} has {len(gold_tags)} labels, {len(tags)} predicted tags and {len(values)} "
                "confidences: accepted is one of each per token"
            )
