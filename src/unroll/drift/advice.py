"""What was found, in words: a table, the reasons, and what to do."""

from unroll.drift.drift import Comparison, Drift, Verdict

HEADER = ("feature", "against", "reference", "new", "PSI", "chance", "verdict")

# What a difference means.
MEANING = {
    "length": "texts of another length; the model has learnt on few such",
    "unknown words": "all one to the model, which lacks them: prepare with such texts, or with vectors",
    "rarity": "other words than in train, if known ones: another subject, or another way of writing",
    "labels": "a model expects the shares that labels have in train",
    "tokens in entities": "more or fewer entities than in train",
    "labels a text": "more or fewer labels than in train",
    "predictions": "either the texts are about something else, or the model is wrong about them",
    "confidence": "the model's probabilities say how often it is right only for texts as it has learnt on",
}

WHAT_TO_DO: dict[Verdict, str] = {
    "stable": "nothing to do",
    "watch": "label a sample of such texts and score the model on it; compare the next ones again",
    "retrain": "label a sample of such texts and score the model on it; add such texts to the training data, then "
    "prepare and train again",
}


def report(drift: Drift) -> str:
    """The whole of what is printed."""
    return "\n".join([*_head(drift), "", *_table(drift.comparisons), "", *_reasons(drift), _last_line(drift)])


def _head(drift: Drift) -> list[str]:
    options = drift.options
    lines = [f"{options.against}: {drift.texts:,} texts, {drift.labelled:,} with labels, against {options.data}"]
    if drift.unused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in drift.unused.items())
        lines.append(f"{sum(drift.unused.values()):,} rows not used: {reasons}")
    return lines


def _table(comparisons: list[Comparison]) -> list[str]:
    rows = [HEADER] + [
        (c.feature, c.split, c.shown[0], c.shown[1], f"{c.index:.3f}", f"{c.chance:.3f}", c.verdict)
        for c in comparisons
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _reasons(drift: Drift) -> list[str]:
    lines = []
    for found in drift.comparisons:
        if found.verdict == "stable":
            continue
        lines += [f"{found.feature}: {found.change}", f"  {MEANING[found.feature.partition(',')[0]]}"]
        if found.feature == "unknown words":
            words = ", ".join(f"{word} ({count:,})" for word, count in drift.new_words.items())
            lines.append(f"  most frequent: {words}")
    least = max(found.chance for found in drift.comparisons)
    if least > drift.options.retrain:
        lines.append(f"Few texts: an index of up to {least:.2f} may be chance, so only large changes can be seen")
    return lines


def _last_line(drift: Drift) -> str:
    causes = ", ".join(found.feature for found in drift.comparisons if found.verdict == drift.verdict != "stable")
    return f"{drift.verdict}{f' ({causes})' if causes else ''}: {WHAT_TO_DO[drift.verdict]}"
