"""Scores of labeling: one tag a token, and the entities that tags spell."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from unroll.data.tags import OUTSIDE, spans
from unroll.evaluation.scores import Scores, calibration_error, confusion_table, precision_recall_f1


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
    precision, recall, f1 = precision_recall_f1(correct.total(), found.total(), gold.total())
    entity_types = dict.fromkeys(name.partition("-")[2] for name in label_names if name != OUTSIDE)
    classes = [
        (name, *precision_recall_f1(correct[name], found[name], gold[name]), gold[name]) for name in entity_types
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
        confusion=confusion_table(confusion_matrix(gold_tags, predicted_tags, labels=list(label_names)), label_names),
    )


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
