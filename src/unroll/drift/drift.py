"""Compares new text with what a model was trained on."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.source import Source
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import UNKNOWN
from unroll.drift.encode import encode, shorten_labels
from unroll.drift.features import Feature, label_features, text_features
from unroll.drift.labels import LabelSet
from unroll.drift.new_labels import read_new_labels
from unroll.drift.new_text import ACCEPTED, NewText, read_new_text
from unroll.statistics.stability import chance_quantile, stability_index

Verdict = Literal["stable", "watch", "retrain"]
NEW_WORDS = 10


@dataclass(frozen=True)
class DriftOptions:
    """What is compared with what, and how large an index has to be.

    Args:
        against: a file of new text; see `read_new_text`.
        data: a folder that the prepare stage wrote.
        output: the file for the findings, as JSON.
        run: a folder models/DATASET/MODEL/SEED, whose model's predictions are compared too.
        watch, retrain: indices above which a feature has this verdict, if chance alone does not reach it.
        level: the probability that chance alone does so for any of the features.
    """

    against: str | None
    data: str
    output: str
    run: str | None
    watch: float
    retrain: float
    level: float

    def __post_init__(self) -> None:
        if self.against is None:
            raise ValueError(f"against=null: a file of new text has to be named; accepted: {ACCEPTED}")
        if Path(self.output).is_dir():
            raise ValueError(f"output={self.output}: that is a folder; accepted: a file")
        if not 0 < self.watch <= self.retrain < float("inf"):
            raise ValueError(f"watch={self.watch:g} and retrain={self.retrain:g}; accepted: 0 < watch <= retrain")
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level:g}; accepted: between 0 and 1")


@dataclass(frozen=True)
class Comparison:
    """One feature, compared.

    Attributes:
        split: the prepared split that the reference is of.
        reference, new: a number's mean and quantiles, or shares by name; `shown`: the same two for people.
        change: what differs, for people.
        reference_texts, new_texts: how many texts were compared.
        index: the population stability index; `chance`: what it has to exceed to be more than chance.
    """

    feature: str
    split: str
    reference: dict[str, float]
    new: dict[str, float]
    shown: tuple[str, str]
    change: str
    reference_texts: int
    new_texts: int
    index: float
    chance: float
    verdict: Verdict


@dataclass(frozen=True)
class Drift:
    """All that was found.

    Attributes:
        texts, labelled: usable texts of the file, and how many of them have usable labels.
        unused: the file's other rows, by reason.
        new_words: the most frequent words that the vocabulary lacks, and how often each was met.
    """

    options: DriftOptions
    texts: int
    labelled: int
    unused: dict[str, int]
    comparisons: list[Comparison]
    new_words: dict[str, int]

    @property
    def verdict(self) -> Verdict:
        """That of the feature that is furthest off."""
        found = {comparison.verdict for comparison in self.comparisons}
        return "retrain" if "retrain" in found else "watch" if "watch" in found else "stable"

    def facts(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"verdict": self.verdict, **asdict(self)}


def find_drift(source: Source, options: DriftOptions) -> Drift:
    """Compare a file with the prepared data of `source`.

    Raises:
        ValueError: nothing is prepared, or of another task; the file, its labels or the run cannot be used.
    """
    data, path = PreparedData(Path(options.data)), Path(options.against or "")
    if data.task != source.task:
        raise ValueError(f"data={options.data} was prepared for {data.task}, but the dataset is of {source.task}")
    text = read_new_text(path, source, data.schema.tokenizer)
    labels = read_new_labels(text, path, source, data.label_names)
    new = encode(text, data)

    train = data.split("train")
    features: list[Feature] = [*text_features(train, data.split("validation"), new, len(data.schema.vocabulary))]
    if labels is not None:
        known = LabelSet.of_split(train, data.label_names)
        features += label_features("labels", "train", known, shorten_labels(labels, data))
    if options.run is not None:
        from unroll.drift.predictions import prediction_features

        features += prediction_features(data, Path(options.run), new)
    return Drift(
        options=options,
        texts=len(text.offsets) - 1,
        labelled=0 if labels is None else len(labels),
        unused=text.unused,
        comparisons=[_compare(feature, options, options.level / len(features)) for feature in features],
        new_words=_new_words(text, new, data.schema.tokenizer),
    )


def _compare(feature: Feature, options: DriftOptions, level: float) -> Comparison:
    """level: of this feature alone. Bonferroni's: the options' level by the number of features."""
    reference, new = feature.bins()
    before, after = feature.summaries()
    index, chance = stability_index(reference, new), chance_quantile(reference, new, level)
    thresholds: dict[Verdict, float] = {"retrain": options.retrain, "watch": options.watch}
    reached = (verdict for verdict, threshold in thresholds.items() if index > max(threshold, chance))
    return Comparison(
        feature=feature.name,
        split=feature.split,
        reference=before,
        new=after,
        shown=(feature.describe(before), feature.describe(after)),
        change=feature.change(before, after),
        reference_texts=round(float(reference.sum())),
        new_texts=round(float(new.sum())),
        index=index,
        chance=chance,
        verdict=next(reached, "stable") if feature.matters else "stable",
    )


def _new_words(text: NewText, new: EncodedSplit, tokenizer: Tokenizer) -> dict[str, int]:
    counts = np.bincount(text.tokens, minlength=len(text.distinct) + 1)
    found: Counter[str] = Counter()
    for row, token in enumerate(text.distinct, start=1):
        if new.table.words[row] == UNKNOWN:
            found[tokenizer.word(token)] += int(counts[row])
    return dict(found.most_common(NEW_WORDS))
