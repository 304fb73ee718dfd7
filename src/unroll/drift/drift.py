"""Compares new text with the data that a model was trained on, and reports the differences."""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unroll.checks import check_choice, check_least
from unroll.data.prepared import PreparedData
from unroll.data.ragged import Ragged
from unroll.data.source import Source
from unroll.data.tokens import TOKEN_TASKS, UNKNOWN
from unroll.drift.features import Feature, label_features, prediction_features, text_features
from unroll.drift.labels import count_labels, number_labels, read_new_labels
from unroll.drift.new_text import ACCEPTED, encode, read_new_text, shorten
from unroll.hardware import DEVICES
from unroll.statistics.stability import chance_quantile, stability_index

Verdict = Literal["stable", "watch", "retrain"]
NEW_WORDS = 10
HEADER = ("feature", "against", "reference", "new", "PSI", "chance", "verdict")

# What a difference in a feature means.
MEANINGS = {
    "length": "the model was trained on few texts of such lengths",
    "unknown words": "the model cannot distinguish unknown words; prepare the data with such texts, or with vectors",
    "surprisal": "known words that are rarer or more frequent than in train: another topic or style",
    "labels": "the model expects the label shares of train",
    "tokens in entities": "more or fewer entities than in train",
    "labels per text": "more or fewer labels than in train",
    "predictions": "either the texts have other labels, or the model's predictions are wrong",
    "confidence": "probabilities are calibrated only for texts like those of train",
}
ADVICE: dict[Verdict, str] = {
    "stable": "nothing to do",
    "watch": "label a sample of the new texts and score the model on it; compare again with later texts",
    "retrain": "label a sample of the new texts and score the model on it; add such texts to the training data, then "
    "prepare and train again",
}


@dataclass(frozen=True)
class DriftOptions:
    """Options of the comparison.

    Args:
        against: a file of new text; see `read_new_text`.
        data: a folder of prepared data.
        output: the JSON file for the results.
        run: a folder models/DATASET/MODEL/SEED, to compare the predictions of its model too; None for no model.
        watch, retrain: thresholds of the index for these verdicts; the index must also exceed what chance explains.
        level: probability that chance alone exceeds the critical value of any feature.
        batch_size: maximum number of texts that the model reads at once.
        device: of the model, one of `DEVICES`.
    """

    against: str | None
    data: str
    output: str
    run: str | None
    watch: float
    retrain: float
    level: float
    batch_size: int = 64
    device: str = "auto"

    def __post_init__(self) -> None:
        check_least(1, batch_size=self.batch_size)
        check_choice("device", self.device, DEVICES)
        if self.against is None:
            raise ValueError(f"against=null: the file of new text is missing; accepted: {ACCEPTED}")
        if Path(self.output).is_dir():
            raise ValueError(f"output={self.output} is a folder; accepted: a file")
        if not 0 < self.watch <= self.retrain < float("inf"):
            raise ValueError(f"watch={self.watch:g} and retrain={self.retrain:g}; accepted: 0 < watch <= retrain")
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level:g}; accepted: between 0 and 1")


@dataclass(frozen=True)
class Comparison:
    """The comparison of one feature; see `Feature`.

    Attributes:
        reference, new: the summaries.
        index: the population stability index.
        chance: critical value of the index if there is no drift.
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
    """The result of the comparison.

    Attributes:
        texts, labelled: number of usable texts in the file, and of those with usable labels.
        unused: number of rows that cannot be used, by reason.
        comparisons: one per feature.
        new_words: the most frequent words that are missing from the vocabulary, with their counts.
    """

    options: DriftOptions
    texts: int
    labelled: int
    unused: dict[str, int]
    comparisons: list[Comparison]
    new_words: dict[str, int]

    @property
    def verdict(self) -> Verdict:
        """The most severe verdict of all features."""
        return max((comparison.verdict for comparison in self.comparisons), key=[*ADVICE].index)

    def facts(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {"verdict": self.verdict, **asdict(self)}


def find_drift(source: Source, options: DriftOptions) -> Drift:
    """Compare a file of new text with the prepared data of `source`; a ValueError says what cannot be used."""
    data, path = PreparedData(Path(options.data)), Path(options.against or "")
    if source.task != ("labeling" if data.task == "tagging" else data.task):
        raise ValueError(f"data={options.data} was prepared for {data.task}; accepted: data of the task {source.task}")
    if tags := data.description.get("tags"):  # missing in data of earlier versions
        source = replace(source, tag_scheme=tags["scheme"], label_names=tags["names"])
    text = read_new_text(path, source, data.schema.tokenizer, data.description.get("span_edges", "cut"))
    labels = read_new_labels(text, path, source, data.label_names)
    new = encode(text, data)

    features = text_features(data, new)
    if labels:
        train = data.split("train")
        known = count_labels(data.label_names, train.tags if data.task in TOKEN_TASKS else train.labels, data.task)
        names, ids = number_labels(data.task, data.label_names, labels)
        if isinstance(ids, Ragged):
            ids = shorten(ids, data, names if data.task == "labeling" else None)
        features += label_features("labels", "train", data.task, known, count_labels(names, ids, data.task))
    if options.run is not None:
        features += prediction_features(data, Path(options.run), text, options.batch_size, options.device)

    unknown: Counter[str] = Counter()
    counts = np.bincount(text.tokens.values, minlength=len(text.distinct) + 1)
    for token, word, count in zip(text.distinct, new.table.words[1:], counts[1:].tolist(), strict=True):
        if word == UNKNOWN:
            unknown[data.schema.tokenizer.word(token)] += count
    return Drift(
        options=options,
        texts=len(text.tokens),
        labelled=len(labels),
        unused=text.unused,
        comparisons=[_compare(feature, options, options.level / len(features)) for feature in features],
        new_words=dict(unknown.most_common(NEW_WORDS)),
    )


def _compare(feature: Feature, options: DriftOptions, level: float) -> Comparison:
    """Compare one feature; `level` is the significance level for it alone (Bonferroni's correction)."""
    index, chance = stability_index(*feature.bins), chance_quantile(*feature.bins, level)
    verdict: Verdict = "stable"
    if feature.matters and index > max(options.watch, chance):
        verdict = "retrain" if index > options.retrain else "watch"
    name, split, bins, (before, after), shown, change, _ = feature
    texts_before, texts_after = (round(float(texts.sum())) for texts in bins)
    return Comparison(name, split, before, after, shown, change, texts_before, texts_after, index, chance, verdict)


def report(drift: Drift) -> str:
    """Format the result for printing: a table, the differences, and the verdict with advice."""
    count = f"{drift.texts:,} texts, {drift.labelled:,} of them with labels"
    lines = [f"{drift.options.against}: {count}, compared with {drift.options.data}"]
    if drift.unused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in drift.unused.items())
        lines.append(f"unused rows: {sum(drift.unused.values()):,} ({reasons})")
    causes = ", ".join(found.feature for found in drift.comparisons if found.verdict == drift.verdict != "stable")
    advice = f"{drift.verdict}{f' ({causes})' if causes else ''}: {ADVICE[drift.verdict]}"
    return "\n".join([*lines, "", *_table(drift.comparisons), "", *_differences(drift), advice])


def _table(comparisons: list[Comparison]) -> list[str]:
    rows = [HEADER] + [
        (c.feature, c.split, *c.shown, f"{c.index:.3f}", f"{c.chance:.3f}", c.verdict) for c in comparisons
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _differences(drift: Drift) -> list[str]:
    lines = []
    for found in drift.comparisons:
        if found.verdict == "stable":
            continue
        lines += [f"{found.feature}: {found.change}", f"  {MEANINGS[found.feature.partition(',')[0]]}"]
        if found.feature == "unknown words":
            words = ", ".join(f"{word} ({count:,})" for word, count in drift.new_words.items())
            lines.append(f"  most frequent: {words}")
    critical = max(found.chance for found in drift.comparisons)
    if critical > drift.options.retrain:
        lines.append(f"Few texts: chance alone explains an index of up to {critical:.2f}; only large changes are found")
    return lines
