"""The report of the prepare stage: `report.json`, and `report.html` for reading."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from unroll.data.prepare.split_rows import SplitRows
from unroll.data.tokens import Task
from unroll.files import write_json, write_text
from unroll.pages.drawing import COLORS, STYLE, WIDTH, inline_svg, shorten
from unroll.pages.page import Table, render

SHOWN_LABELS = 20  # in the figure
SHOWN_ROWS = 50  # in a table
BINS = 30
COUNTED: dict[Task, str] = {"classification": "texts", "multilabel": "assigned labels", "labeling": "entities"}


def write_report(dataset: str, description: dict[str, Any], splits: dict[str, SplitRows], folder: Path) -> None:
    """Write both files into `folder`; `description` is the content of dataset.json."""
    lengths = {split: rows.lengths for split, rows in splits.items()}
    described, used = description["splits"], {split: len(np.unique(rows.rows)) for split, rows in splits.items()}
    facts = {
        "splits": {
            split: {
                "rows_read": used[split] + len(rows.quarantined) + described[split]["left_out"],
                "rows_used": used[split],
                "sequences": len(rows),
                "quarantined": description["quarantined"][split],
                **{key: described[split][key] for key in ("left_out", "too_long", "tokens")},
                "length": _quantiles(lengths[split]),
                "unknown_share": described[split]["unknown_share"],
                "labels": _count_labels(description, rows),
            }
            for split, rows in splits.items()
        },
        "duplicates": description["duplicates"],
    }
    write_json(folder / "report.json", facts)
    write_text(folder / "report.html", _page(dataset, description["task"], facts, lengths))


def _quantiles(lengths: np.ndarray) -> dict[str, int]:
    shares = {"shortest": 0, "median": 0.5, "95 %": 0.95, "longest": 1}
    return {name: int(np.quantile(lengths, share, method="lower")) for name, share in shares.items()}


def _count_labels(description: dict[str, Any], rows: SplitRows) -> dict[str, int]:
    """The number of texts per label, or of entities per type."""
    names = description["label_names"]
    if rows.labels is None:
        blocks = [np.bincount(block.values, minlength=len(names)) for block in rows.tag_blocks()]
        counts = np.sum(blocks, axis=0)
        return {name[2:]: int(count) for name, count in zip(names, counts, strict=True) if name.startswith("B-")}
    is_single = rows.labels.ndim == 1
    counts = np.bincount(rows.labels, minlength=len(names)) if is_single else rows.labels.sum(axis=0)
    return dict(zip(names, counts.tolist(), strict=True))


def _page(dataset: str, task: Task, facts: dict[str, Any], lengths: dict[str, np.ndarray]) -> str:
    splits, what = facts["splits"], COUNTED[task]
    return render(
        Path(__file__).with_name("report.html.j2"),
        dataset=dataset,
        used=sum(split["rows_used"] for split in splits.values()),
        quarantined=sum(sum(split["quarantined"].values()) for split in splits.values()),
        leaks=sum(facts["duplicates"]["tokens"][pair] for pair in ("train, validation", "train, test")),
        what=what,
        rows=_rows_table(splits),
        reasons=_reasons_table(splits),
        duplicates=_duplicates_table(facts["duplicates"]),
        labels=_labels_table(splits, what),
        label_figure=inline_svg(_label_figure(splits, what), "labels", f"Share of the {what} by label and split"),
        length_figure=inline_svg(_length_figure(lengths), "lengths", "Share of the texts by length and split"),
        unknown_figure=inline_svg(_unknown_figure(splits), "unknown", "Share of unknown tokens by split"),
    )


def _rows_table(splits: dict[str, Any]) -> Table:
    header = ["split", "rows read", "used", "quarantined", "left out", "too long", "tokens", "unknown"]
    header += next(iter(splits.values()))["length"]
    rows = [
        [
            split,
            f"{facts['rows_read']:,}",
            f"{facts['rows_used']:,}",
            f"{sum(facts['quarantined'].values()):,}",
            f"{facts['left_out']:,}",
            f"{facts['too_long']:,}",
            f"{facts['tokens']:,}",
            f"{facts['unknown_share']:.1%}",
            *(f"{length:,}" for length in facts["length"].values()),
        ]
        for split, facts in splits.items()
    ]
    return Table("Rows, tokens and tokens per row", header, rows)


def _reasons_table(splits: dict[str, Any]) -> Table:
    reasons = sorted({reason for facts in splits.values() for reason in facts["quarantined"]})
    counts = {reason: [facts["quarantined"].get(reason, 0) for facts in splits.values()] for reason in reasons}
    return Table("Unused rows by reason", ["reason", *splits], _most_frequent(counts))


def _duplicates_table(duplicates: dict[str, dict[str, int]]) -> Table:
    def name(key: str) -> str:
        a, _, b = key.partition(", ")
        return f"{b}, also in {a}" if b else f"{a}, repeated"

    rows = [[name(key), *(f"{counts[key]:,}" for counts in duplicates.values())] for key in duplicates["tokens"]]
    return Table("Rows with a duplicate text", ["rows of", "same tokens", "same words", "near"], rows)


def _labels_table(splits: dict[str, Any], what: str) -> Table:
    counts = {label: [facts["labels"][label] for facts in splits.values()] for label in splits["train"]["labels"]}
    return Table(f"{what.capitalize()} by label", ["label", *splits], _most_frequent(counts))


def _most_frequent(counts: dict[str, list[int]]) -> list[list[str]]:
    """Table rows by descending sum; rows beyond SHOWN_ROWS are added up in one."""
    ordered = sorted(counts.items(), key=lambda entry: -sum(entry[1]))
    shown = [(name, found) for name, found in ordered[:SHOWN_ROWS]]
    if others := ordered[SHOWN_ROWS:]:
        shown.append((f"{len(others):,} others", [sum(column) for column in zip(*dict(others).values(), strict=True)]))
    return [[name, *map("{:,}".format, found)] for name, found in shown]


@rc_context(STYLE)
def _label_figure(splits: dict[str, Any], what: str) -> Figure:
    """The shares of the most frequent labels of train in each split."""
    train = splits["train"]["labels"]
    shown = sorted(train, key=lambda label: -train[label])[:SHOWN_LABELS]
    figure = Figure(figsize=(WIDTH, 1.4 + 0.4 * len(shown)))
    axes = figure.add_subplot()
    positions, width = np.arange(len(shown)), 0.8 / len(splits)
    for i, (split, facts) in enumerate(splits.items()):
        total = max(1, sum(facts["labels"].values()))
        shares = [facts["labels"][label] / total for label in shown]
        axes.barh(positions + (i - 1) * width, shares, width, label=split, color=COLORS[i])
    axes.set_yticks(positions, [shorten(label) for label in shown])
    _finish_bars(axes, f"share of the {what}")
    figure.legend(loc="outside lower center", ncols=len(splits))
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
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(loc="outside lower center", ncols=len(lengths))
    return figure


@rc_context(STYLE)
def _unknown_figure(splits: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(WIDTH, 1.8))
    axes = figure.add_subplot()
    shares = [facts["unknown_share"] for facts in splits.values()]
    axes.barh(list(splits), shares, 0.6, color=COLORS[: len(splits)])
    _finish_bars(axes, "share of the tokens")
    return figure


def _finish_bars(axes: Axes, label: str) -> None:
    axes.set(xlabel=label)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(visible=False, axis="y")
