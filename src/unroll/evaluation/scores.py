"""Scores of one model's predictions on the test split, for each task. All but the loss are fractions in 0..1."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from unroll.data.tags import OUTSIDE, spans
from unroll.statistics.metrics import calibration_error, precision_recall_f1

Sentences = Sequence[Sequence[str]]
Confidences = Sequence[Sequence[float] | NDArray[np.floating]]

MAIN_METRIC = {"classification": "accuracy", "labeling": "f1", "multilabel": "f1", "tagging": "accuracy"}
# what accuracy counts, and what precision, recall and F1 do
COUNTED = {"labeling": ("token", "entity"), "multilabel": ("subset", "micro"), "tagging": ("token", "macro")}


class Scores(NamedTuple):
    """The scores of one run.

    `classes` has one row per label, or per entity type for labeling: label, precision, recall, f1, support.
    `confusion` counts texts, or tokens for labeling and tagging; rows are gold labels (index ``gold``), columns
    predicted ones. For multilabel a row is a label (index ``label``), and the columns are its true and false positives
    and negatives.
    """

    metrics: dict[str, float]  # by name, such as test/accuracy
    classes: pd.DataFrame
    confusion: pd.DataFrame


def label_kind(task: str) -> str:
    """What a row of `Scores.classes` is about: an entity type, a tag or a label."""
    return {"labeling": "entity type", "tagging": "tag"}.get(task, "label")


def metric_title(name: str, task: str) -> str:
    """Display name of a metric, given with or without its split: ``test/f1`` is entity F1, micro F1 or macro F1."""
    key = name.rpartition("/")[2]
    titles = {"macro_f1": "macro F1", "calibration_error": "calibration error"}
    if task in COUNTED:
        of_accuracy, of_f1 = COUNTED[task]
        titles |= {name: f"{of_f1} {name}" for name in ("precision", "recall")}
        titles |= {"accuracy": f"{of_accuracy} accuracy", "f1": f"{of_f1} F1"}
    return titles.get(key, key)


def classification_scores(labels: ArrayLike, probabilities: ArrayLike, label_names: Sequence[str]) -> Scores:
    """Score (N, L) probabilities of each text's labels against (N,) indices into the L `label_names`.

    Macro F1 is the mean over the labels that occur as gold or as predicted. Unusable input is a ValueError.
    """
    gold, distributions = np.asarray(labels), np.asarray(probabilities)
    if gold.size == 0:
        raise ValueError("the test split is empty: nothing to score")
    if distributions.shape != (len(gold), len(label_names)):
        raise ValueError(
            f"probabilities have shape {distributions.shape}; accepted: one row for each of {len(gold)} labels, one "
            f"column for each of {len(label_names)} label names"
        )
    if gold.min() < 0 or gold.max() >= len(label_names):
        raise ValueError(
            f"test labels are in {gold.min()} to {gold.max()}; accepted: 0 to {len(label_names) - 1}, the indices of "
            f"{list(label_names)}"
        )

    predicted = distributions.argmax(axis=1)
    confusion, classes, macro = _exclusive_scores(gold, predicted, label_names)
    metrics = {
        "test/accuracy": float(np.mean(predicted == gold)),
        "test/macro_f1": macro,
        "test/calibration_error": calibration_error(distributions.max(axis=1), predicted == gold),
    }
    return Scores(metrics, classes, confusion)


def multilabel_scores(labels: ArrayLike, probabilities: ArrayLike, label_names: Sequence[str]) -> Scores:
    """Score the (N, L) probabilities of L labels against (N, L) booleans; a label is predicted where it is above 0.5.

    Accuracy is the share of texts whose labels are all right. Precision, recall and F1 count the labels of all texts
    together (micro); macro F1 is the mean over the labels that occur as gold or as predicted. The calibration error
    is that of the N x L binary decisions, each with the probability of its outcome. Unusable input is a ValueError.
    """
    gold, likely = np.asarray(labels, dtype=bool), np.asarray(probabilities)
    if gold.size == 0:
        raise ValueError("the test split is empty: nothing to score")
    if not gold.shape == likely.shape == (len(gold), len(label_names)):
        raise ValueError(
            f"labels have shape {gold.shape} and probabilities {likely.shape}; accepted: one row per text in both, one "
            f"column for each of {len(label_names)} label names"
        )

    predicted = likely > 0.5
    right = predicted == gold
    hits, found, support = (part.sum(axis=0) for part in (predicted & gold, predicted, gold))  # (L,)
    classes = _scores_by_class(label_names, hits, found, support)
    metrics = {
        "test/accuracy": float(right.all(axis=1).mean()),
        **_micro_scores(hits, found, support),
        "test/macro_f1": _macro_f1(classes, found),
        "test/calibration_error": calibration_error(np.maximum(likely, 1 - likely).ravel(), right.ravel()),
    }
    counts = {
        "true positives": hits,
        "false positives": found - hits,
        "false negatives": support - hits,
        "true negatives": len(gold) - found - support + hits,
    }
    return Scores(metrics, classes, pd.DataFrame(counts, index=pd.Index(list(label_names), name="label")))


def labeling_scores(
    labels: Sentences, predicted: Sentences, confidences: Confidences, label_names: Sequence[str]
) -> Scores:
    """Score one predicted IOB tag per token of each sentence, with the `confidences` in them.

    Precision, recall and F1 count entities (micro), as ``conlleval`` does. Unusable input is a ValueError.
    """
    gold_ids, predicted_ids, accuracy, error = _tag_ids(labels, predicted, confidences, label_names)
    by_type: list[Counter[str]] = [Counter(), Counter(), Counter()]  # right, found and gold entities
    for true, given in zip(labels, predicted, strict=True):
        gold, found = set(spans(true)), set(spans(given))
        for counter, entities in zip(by_type, (gold & found, found, gold), strict=True):
            counter.update(span.type for span in entities)
    types = list(dict.fromkeys(name.partition("-")[2] for name in label_names if name != OUTSIDE))
    counts = [[counter[name] for name in types] for counter in by_type]
    metrics = {"test/accuracy": accuracy, **_micro_scores(*counts), "test/calibration_error": error}
    return Scores(metrics, _scores_by_class(types, *counts), _confusion(gold_ids, predicted_ids, label_names))


def tagging_scores(
    labels: Sentences, predicted: Sentences, confidences: Confidences, label_names: Sequence[str]
) -> Scores:
    """Score one predicted plain tag per token of each sentence, with the `confidences` in them.

    F1 is the mean over the tags that occur as gold or as predicted (macro). Unusable input is a ValueError.
    """
    gold_ids, predicted_ids, accuracy, error = _tag_ids(labels, predicted, confidences, label_names)
    confusion, classes, macro = _exclusive_scores(gold_ids, predicted_ids, label_names)
    return Scores({"test/accuracy": accuracy, "test/f1": macro, "test/calibration_error": error}, classes, confusion)


def _tag_ids(
    labels: Sentences, predicted: Sentences, confidences: Confidences, label_names: Sequence[str]
) -> tuple[NDArray[np.integer], NDArray[np.integer], float, float]:
    """The indices of the gold and of the predicted tags, their accuracy and their calibration error."""
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
    error = calibration_error(np.concatenate(list(confidences)), is_right)
    return gold_ids, predicted_ids, float(is_right.mean()), error


def _confusion(gold: NDArray[np.integer], predicted: NDArray[np.integer], names: Sequence[str]) -> pd.DataFrame:
    """The `confusion` of Scores from N gold and predicted indices into the L `names`."""
    size = len(names)
    counts = np.bincount(gold * size + predicted, minlength=size * size).reshape(size, size)
    return pd.DataFrame(counts, index=pd.Index(list(names), name="gold"), columns=list(names))


def _exclusive_scores(
    gold: NDArray[np.integer], predicted: NDArray[np.integer], names: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """The `confusion` and the `classes` of Scores where each text or token has one label, and macro F1."""
    confusion = _confusion(gold, predicted, names)
    counts = confusion.to_numpy()
    found = counts.sum(axis=0)
    classes = _scores_by_class(names, np.diag(counts), found, counts.sum(axis=1))
    return confusion, classes, _macro_f1(classes, found)


def _micro_scores(right: ArrayLike, found: ArrayLike, gold: ArrayLike) -> dict[str, float]:
    """Precision, recall and F1 of how often all labels together are right, predicted and gold; (L,) each."""
    scores = precision_recall_f1(*(np.sum(counts) for counts in (right, found, gold)))
    return dict(zip(("test/precision", "test/recall", "test/f1"), map(float, scores), strict=True))


def _scores_by_class(names: Sequence[str], right: ArrayLike, found: ArrayLike, gold: ArrayLike) -> pd.DataFrame:
    """The `classes` of Scores from how often each of L labels is right, predicted and gold; (L,) each."""
    precision, recall, f1 = precision_recall_f1(right, found, gold)
    return pd.DataFrame({"label": list(names), "precision": precision, "recall": recall, "f1": f1, "support": gold})


def _macro_f1(classes: pd.DataFrame, found: NDArray[np.integer]) -> float:
    """Mean F1 of the labels that occur as gold or as predicted; 0 if none does. found: (L,) how often predicted."""
    occurs = (classes["support"] > 0) | (found > 0)
    return float(classes["f1"][occurs].to_numpy().mean()) if occurs.any() else 0.0
