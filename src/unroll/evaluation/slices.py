"""Scores on parts of the test split."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

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
    """The score of each model on parts of the test split."""

    sizes: pd.Series  # number of examples, or of true entities, by the name of the part
    scores: pd.DataFrame  # a row per model, a column per part; means over seeds, NaN where a part has no gold item


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
    """F1 of each label, tag or entity type; the size of a part is its number of gold occurrences."""
    support = runs[0].classes.set_index("label")["support"]
    f1 = [run.classes.set_index("label")["f1"].where(support > 0) for run in runs]
    return Slices(support.astype(int), _mean_over_seeds(runs, f1, list(support.index)))


def slices_by_seen_entities(runs: Sequence[Run], data: PreparedData) -> Slices:
    """Recall of the true entities by whether the same words, in the same casing, are an entity in train.

    Precision and F1 are not defined here, since a wrong prediction belongs to no part.
    """
    seen = set(_entities(data.split("train"), data.label_names))
    seen_text = {text for _, text in seen}
    gold = _entities(data.split("test"), data.label_names)
    part_of = np.array([0 if (kind, text) in seen else 1 if text in seen_text else 2 for kind, text in gold], int)
    sizes = np.bincount(part_of, minlength=len(SEEN_ENTITIES))
    found = [np.bincount(part_of[_found(run)], minlength=len(sizes)) for run in runs]
    with np.errstate(invalid="ignore"):  # an empty part, which is left out
        return _without_empty(sizes, _mean_over_seeds(runs, list(found / sizes), SEEN_ENTITIES))


def _cuts(lengths: np.ndarray) -> list[int]:
    """The lengths at which parts begin: those nearest to the quintiles, if at most half a quintile away."""
    starts, shorter = np.unique(np.sort(lengths), return_index=True)  # each length, and the number of shorter texts
    distances = [np.abs(LENGTH_BUCKETS * shorter - fifth * len(lengths)) for fifth in range(1, LENGTH_BUCKETS)]
    return sorted({int(starts[away.argmin()]) for away in distances if 2 * away.min() <= len(lengths)})


def _examples(runs: Sequence[Run], part_of: np.ndarray, names: Sequence[str]) -> Slices:
    """The main test metric on each part; example i is in the part `names[part_of[i]]`."""
    parts = [[run.counts[part_of == part] for part in range(len(names))] for run in runs]
    scores = [[micro_f1(part) if part[:, GOLD].any() else np.nan for part in of_run] for of_run in parts]
    return _without_empty(np.bincount(part_of, minlength=len(names)), _mean_over_seeds(runs, scores, names))


def _mean_over_seeds(runs: Sequence[Run], scores: Sequence[Any], names: Iterable[str]) -> pd.DataFrame:
    """Average the scores of each run and part, (R, P), over the seeds of each model."""
    table = pd.DataFrame(np.array(scores, float), columns=list(names))
    return table.groupby([run.model for run in runs], sort=False).mean()


def _without_empty(sizes: np.ndarray, scores: pd.DataFrame) -> Slices:
    return Slices(pd.Series(sizes, scores.columns)[sizes > 0], scores.loc[:, sizes > 0])


def _seen_words(data: PreparedData) -> np.ndarray:
    """Whether the word of each row of the token table occurs in train, (S,).

    The vocabulary is not enough: rare words of train are missing from it, and pretrained vectors add others.
    """
    tokens, words = np.unique(data.split("train").tokens), data.table.words
    seen = np.isin(words, words[tokens]) & (words != UNKNOWN)
    seen[tokens] = True
    return seen


def _entities(split: EncodedSplit, label_names: list[str]) -> list[Entity]:
    """The true entities of all sentences."""
    return [
        (span.type, tokens[span.start : span.end].tobytes())
        for tokens, tags in zip(split.sequences, split.tags, strict=True)
        for span in spans([label_names[tag] for tag in tags])
    ]


def _found(run: Run) -> np.ndarray:
    """Whether each true entity was predicted with its type, first and last token."""
    sentences = zip(*(run.predictions[name].map(spans) for name in ("label", "predicted")), strict=True)
    return np.array([span in predicted for gold, predicted in sentences for span in gold], bool)
