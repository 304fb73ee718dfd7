"""The report of the prepare stage: `report.json`, and `report.html` for reading."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unroll.data.prepare.split_rows import SplitRows
from unroll.data.tokens import Task
from unroll.files import write_json, write_text
from unroll.pages.drawing import (
    COLORS,
    EDGE,
    LINE,
    NUMBERS,
    STYLE,
    TICK,
    WIDTH,
    inline_svg,
    mark_percent,
    set_margins,
    shorten,
    width_of,
)
from unroll.pages.page import Table, render

SHOWN_LABELS = 20  # in the figure
SHOWN_ROWS = 50  # in a table
BINS = 30
COUNTED: dict[Task, str] = {
    "classification": "texts",
    "multilabel": "assigned labels",
    "labeling": "entities",
    "tagging": "tags",
}


def write_report(dataset: str, description: dict[str, Any], splits: dict[str, SplitRows], folder: Path) -> None:
    """Write both files into `folder`; `description` is the content of dataset.json."""
    facts = {
        "splits": {split: _facts(split, rows, description) for split, rows in splits.items()},
        "duplicates": description["duplicates"],
        "tag_scheme": description["tags"] and description["tags"]["scheme"],
        **{key: description[key] for key in ("split", "rules", "span_edges", "inexact_spans")},
    }
    lengths = {split: rows.lengths for split, rows in splits.items()}
    write_json(folder / "report.json", facts)
    write_text(folder / "report.html", _page(dataset, COUNTED[description["task"]], facts, lengths))


def _facts(split: str, rows: SplitRows, description: dict[str, Any]) -> dict[str, Any]:
    described, used = description["splits"][split], len(np.unique(rows.rows))
    quantiles = np.quantile(rows.lengths, [0, 0.5, 0.95, 1], method="lower").tolist()
    return {
        "rows_read": used + len(rows.quarantined) + described["left_out"],
        "rows_used": used,
        "sequences": len(rows),
        "quarantined": description["quarantined"][split],
        **{key: described[key] for key in ("left_out", "too_long", "tokens")},
        "length": dict(zip(["shortest", "median", "95 %", "longest"], quantiles, strict=True)),
        "unknown_share": described["unknown_share"],
        "labels": _count_labels(description["task"], description["label_names"], rows),
    }


def _count_labels(task: Task, names: list[str], rows: SplitRows) -> dict[str, int]:
    """The number of texts per label, of entities per type, or of tokens per tag."""
    if rows.labels is None:
        counts = np.sum([np.bincount(block.values, minlength=len(names)) for block in rows.tag_blocks()], axis=0)
        if task == "tagging":
            return dict(zip(names, counts.tolist(), strict=True))
        return {name[2:]: int(count) for name, count in zip(names, counts, strict=True) if name.startswith("B-")}
    is_single = rows.labels.ndim == 1
    counts = np.bincount(rows.labels, minlength=len(names)) if is_single else rows.labels.sum(axis=0)
    return dict(zip(names, counts.tolist(), strict=True))


def _page(dataset: str, what: str, facts: dict[str, Any], lengths: dict[str, np.ndarray]) -> str:
    splits, duplicates = facts["splits"], facts["duplicates"]
    labels = {split: of_split["labels"] for split, of_split in splits.items()}
    reasons = {split: of_split["quarantined"] for split, of_split in splits.items()}
    return render(
        Path(__file__).with_name("report.html.j2"),
        dataset=dataset,
        used=sum(of_split["rows_used"] for of_split in splits.values()),
        quarantined=sum(sum(of_split.values()) for of_split in reasons.values()),
        leaks=sum(duplicates["tokens"][pair] for pair in ("train, validation", "train, test")),
        what=what,
        scheme=facts["tag_scheme"],
        rows=_rows_table(splits),
        reasons=_counts_table("Unused rows by reason", "reason", sorted(set(chain(*reasons.values()))), reasons),
        edges=facts["span_edges"],
        inexact=sum(facts["inexact_spans"].values()),
        split=facts["split"],
        rules=_rules_table(facts["rules"]),
        duplicates=_duplicates_table(duplicates),
        labels=_counts_table(f"{what.capitalize()} by label", "label", labels["train"], labels),
        label_figure=inline_svg(_label_figure(labels, what), "labels", f"Share of the {what} by label and split"),
        length_figure=inline_svg(_length_figure(lengths), "lengths", "Share of the texts by length and split"),
        unknown_figure=_drawn_unknown(splits),
    )


def _drawn_unknown(splits: dict[str, Any]) -> Markup | None:
    if not any(facts["unknown_share"] for facts in splits.values()):
        return None
    return inline_svg(_unknown_figure(splits), "unknown", "Share of unknown tokens by split")


def _rows_table(splits: dict[str, Any]) -> Table:
    header = ["split", "rows read", "used", "quarantined", "left out", "too long", "tokens", "unknown"]
    rows = []
    for split, facts in splits.items():
        numbers = facts | {"quarantined": sum(facts["quarantined"].values())}
        cells = [numbers[key] for key in ("rows_read", "rows_used", "quarantined", "left_out", "too_long", "tokens")]
        unknown, lengths = f"{facts['unknown_share']:.1%}", facts["length"].values()
        rows.append([split, *map("{:,}".format, cells), unknown, *map("{:,}".format, lengths)])
    return Table("Rows, tokens and tokens per row", [*header, *splits["train"]["length"]], rows)


def _counts_table(caption: str, kind: str, names: Iterable[str], counts: dict[str, dict[str, int]]) -> Table:
    """The counts by name and split, by descending sum; rows beyond SHOWN_ROWS are added up in one."""
    every = [(name, [of_split.get(name, 0) for of_split in counts.values()]) for name in names]
    every.sort(key=lambda row: -sum(row[1]))
    shown, others = every[:SHOWN_ROWS], every[SHOWN_ROWS:]
    if others:
        shown.append((f"{len(others):,} others", np.sum([found for _, found in others], axis=0).tolist()))
    return Table(caption, [kind, *counts], [[name, *map("{:,}".format, found)] for name, found in shown])


def _duplicates_table(duplicates: dict[str, dict[str, int]]) -> Table:
    rows = []
    for key in duplicates["tokens"]:
        a, _, b = key.partition(", ")
        name = f"{b}, also in {a}" if b else f"{a}, repeated"
        rows.append([name, *(f"{counts[key]:,}" for counts in duplicates.values())])
    return Table("Rows with a duplicate text", ["rows of", "same tokens", "same words", "near"], rows)


def _rules_table(rules: dict[str, dict[str, float]]) -> Table:
    rows = [[rule, *(f"{share:.1%}" for share in shares.values())] for rule, shares in rules.items()]
    return Table("Sentences of train whose tokens are found", ["rule", "joined by spaces", "as written"], rows)


@rc_context(STYLE)
def _label_figure(labels: dict[str, dict[str, int]], what: str) -> Figure:
    """The shares of the most frequent labels of train in each split."""
    train = labels["train"]
    shown = sorted(train, key=lambda label: -train[label])[:SHOWN_LABELS]
    figure = Figure(figsize=(WIDTH, 1.4 + 0.4 * len(shown)))
    axes = figure.add_subplot()
    positions, width = np.arange(len(shown)), 0.8 / len(labels)
    for i, (split, counts) in enumerate(labels.items()):
        total = max(1, sum(counts.values()))
        shares = [counts[label] / total for label in shown]
        axes.barh(positions + (i - 1) * width, shares, width, label=split, color=COLORS[i])
    names = [shorten(label) for label in shown]
    axes.set_yticks(positions, names)
    _finish_bars(axes, f"share of the {what}", names, bottom=LINE)
    figure.legend(loc="lower center", ncols=len(labels), borderaxespad=0.2)
    return figure


@rc_context(STYLE)
def _length_figure(lengths: dict[str, np.ndarray]) -> Figure:
    """Histograms of the lengths up to their 99th percentile."""
    figure = Figure(figsize=(WIDTH, 3))
    axes = figure.add_subplot()
    longest = max(float(np.quantile(of_split, 0.99)) for of_split in lengths.values())
    # The bin width is a whole number of tokens, so that all bins cover the same number of lengths.
    edges = np.arange(0.5, longest + np.ceil(longest / BINS) + 0.5, np.ceil(longest / BINS))
    for i, (split, of_split) in enumerate(lengths.items()):
        counts, _ = np.histogram(of_split, edges)
        axes.stairs(counts / len(of_split), edges, label=split, color=COLORS[i], linewidth=1.5)
    axes.set(xlabel="tokens", ylabel="share of the rows")
    mark_percent(axes, "y", symbol="%")
    figure.legend(loc="lower center", ncols=len(lengths), borderaxespad=0.2)
    set_margins(figure, EDGE + LINE + NUMBERS + TICK, EDGE + 3.5 * LINE + TICK, NUMBERS / 2)
    return figure


@rc_context(STYLE)
def _unknown_figure(splits: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(WIDTH, 1.8))
    axes = figure.add_subplot()
    shares = [facts["unknown_share"] for facts in splits.values()]
    axes.barh(list(splits), shares, 0.6, color=COLORS[: len(splits)])
    _finish_bars(axes, "share of the tokens", splits)
    return figure


def _finish_bars(axes: Axes, label: str, names: Iterable[str], bottom: float = 0) -> None:
    """Name the axis, and leave space for the names of the bars and `bottom` inches below."""
    axes.set(xlabel=label)
    axes.invert_yaxis()
    mark_percent(axes, "x", symbol="%")
    axes.grid(visible=False, axis="y")
    assert isinstance(axes.figure, Figure)
    set_margins(axes.figure, EDGE + width_of(names) + TICK, EDGE + 2.5 * LINE + TICK + bottom, NUMBERS / 2)
