"""Scores on parts of the test split."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.tags import spans
from unroll.data.tokens import UNKNOWN
from unroll.evaluation.runs import Run
from unroll.statistics.metrics import micro_f1

GOLD = 2  # the column of gold items in the counts
LENGTH_BUCKETS = 5
FEW = 0.1  # of a text's words
UNSEEN_WORDS = ["none", f"up to {100 * FEW:g} %", f"over {100 * FEW:g} %"]
SEEN_ENTITIES = ["seen with this type", "seen with another type", "not seen"]

Entity = tuple[str, bytes]  # its type, and the ids of its tokens, which distinguish casing


class Slices(NamedTuple):
    """The score of each model on parts of the test split.

    Args:
        sizes: number of examples, or of true entities, by the name of the part.
        scores: one row per model, one column per part; means over seeds, NaN where a part has no gold item.
    """

    sizes: pd.Series
    scores: pd.DataFrame


def slices_by_length(runs: Sequence[Run]) -> Slices:
    """The main test metric by text length, in parts of about equal size, such as ``4-9`` tokens."""
    lengths = runs[0].predictions["length"].to_numpy()
    cuts = _cuts(lengths)
    part_of = np.searchsorted(cuts, lengths, side="right")
    parts = [lengths[part_of == part] for part in range(len(cuts) + 1)]
    names = [f"{part.min()}-{part.max()}" if part.min() < part.max() else f"{part.min()}" for part in parts]
    return _examples(runs, part_of, names)


def slices_by_unseen_words(runs: Sequence[Run], data: PreparedData) -> Slices:
    """The main test metric by the share of a text's words that do not occur in train in any casing."""
    test = data.split("test")
    unseen = np.concatenate([[0], np.cumsum(~_seen_words(data)[test.tokens])])  # (M + 1,)
    shares = np.diff(unseen[test.offsets]) / test.lengths  # (N,)
    return _examples(runs, np.searchsorted([0, FEW], shares), UNSEEN_WORDS)


def slices_by_label(runs: Sequence[Run]) -> Slices:
    """F1 of each label or entity type; the size of a part is its number of gold occurrences."""
    support = runs[0].classes.set_index("label")["support"]
    f1 = [run.classes.set_index("label")["f1"].where(support > 0) for run in runs]
    return Slices(support.astype(int), _mean_over_seeds(runs, f1))


def slices_by_seen_entities(runs: Sequence[Run], data: PreparedData) -> Slices:
    """Recall of the true entities by whether the same words, in the same casing, are an entity in train.

    Precision and F1 are not defined here, since a wrong prediction belongs to no part.
    """
    train, test = data.split("train"), data.split("test")
    seen = {entity for sentence in _entities(train, data.label_names) for entity in sentence}
    seen_text = {text for _, text in seen}
    gold = [entity for sentence in _entities(test, data.label_names) for entity in sentence]
    part_of = np.array([0 if (kind, text) in seen else 1 if text in seen_text else 2 for kind, text in gold], int)
    sizes = pd.Series(np.bincount(part_of, minlength=len(SEEN_ENTITIES)), SEEN_ENTITIES)
    found = [np.bincount(part_of[_found(run)], minlength=len(sizes)) for run in runs]
    return _without_empty(sizes, _mean_over_seeds(runs, [pd.Series(hits, sizes.index) / sizes for hits in found]))


def _cuts(lengths: np.ndarray) -> list[int]:
    """The lengths at which parts begin: those nearest to the quintiles, if at most half a quintile away."""
    starts, shorter = np.unique(np.sort(lengths), return_index=True)  # each length, and the number of shorter texts
    distances = [np.abs(LENGTH_BUCKETS * shorter - fifth * len(lengths)) for fifth in range(1, LENGTH_BUCKETS)]
    return sorted({int(starts[away.argmin()]) for away in distances if 2 * away.min() <= len(lengths)})


def _examples(runs: Sequence[Run], part_of: np.ndarray, names: Sequence[str]) -> Slices:
    """The main test metric on each part; example i is in the part `names[part_of[i]]`."""
    parts = [part_of == part for part in range(len(names))]
    scores = []
    for run in runs:
        counts = [run.counts[inside] for inside in parts]
        f1 = [float(micro_f1(part)) if part[:, GOLD].any() else np.nan for part in counts]
        scores.append(pd.Series(f1, list(names)))
    return _without_empty(pd.Series([inside.sum() for inside in parts], list(names)), _mean_over_seeds(runs, scores))


def _mean_over_seeds(runs: Sequence[Run], scores: Sequence[pd.Series]) -> pd.DataFrame:
    """Average the scores of each run, by part, over the seeds of each model."""
    table = pd.DataFrame([score.to_numpy() for score in scores], columns=scores[0].index)
    return table.groupby([run.model for run in runs], sort=False).mean()


def _without_empty(sizes: pd.Series, scores: pd.DataFrame) -> Slices:
    return Slices(sizes[sizes > 0], scores.loc[:, (sizes > 0).to_numpy()])


def _seen_words(data: PreparedData) -> np.ndarray:
    """Whether the word of each row of the token table occurs in train, (S,).

    The vocabulary is not enough: rare words of train are missing from it, and pretrained vectors add others.
    """
    tokens, words = np.unique(data.split("train").tokens), data.table.words
    seen = np.isin(words, words[tokens]) & (words != UNKNOWN)
    seen[tokens] = True
    return seen


def _entities(split: EncodedSplit, label_names: list[str]) -> Iterator[list[Entity]]:
    """The true entities of each sentence."""
    for start, end in pairwise(split.offsets):
        tokens, tags = split.tokens[start:end], [label_names[label] for label in split.labels[start:end]]
        yield [(span.type, tokens[span.start : span.end].tobytes()) for span in spans(tags)]


def _found(run: Run) -> np.ndarray:
    """Whether each true entity was predicted with its type, first and last token."""
    sentences = zip(run.predictions["label"], run.predictions["predicted"], strict=True)
    found = [
        (span in predicted) for gold, tags in sentences for predicted in [set(spans(tags))] for span in spans(gold)
    ]
    return np.array(found, bool)
