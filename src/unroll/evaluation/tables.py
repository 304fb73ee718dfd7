"""The report's tables: rows of text, ready to print."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from unroll.evaluation.leaderboard import main_metric
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import metric_title
from unroll.evaluation.slices import Slices
from unroll.pages.page import Number, Table

MINUS = "\N{MINUS SIGN}"
BYTES = ("B", "kB", "MB", "GB")
FEW = 30  # below it one text more or less moves a score by points


def leaderboard_table(board: pd.DataFrame, letters: dict[str, str], runs: Sequence[Run], confidence: str) -> Table:
    """The scores that rank and compare, the letters of what cannot be told apart, and the costs.

    board: with its intervals over texts. confidence: of both intervals, such as ``95 %``.
    """
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    scores = [_score_header(monitor, task), _score_header(metric, task)]
    scores += [f"{confidence} over seeds", f"{confidence} over texts"]
    header = ["model", "seeds", *scores, "letters", "parameters", "on disk", "training time", "tokens/s"]
    rows = [
        [
            row["model"],
            Number(str(row["seeds"]), row["seeds"]),
            _score(monitor, row),
            _score(metric, row),
            *(
                Number(
                    interval_text(row[f"{metric}{over}_low"], row[f"{metric}{over}_high"]), row[f"{metric}{over}_low"]
                )
                for over in ("", "_texts")
            ),
            letters[row["model"]],
            Number(f"{row['parameters']:,}", row["parameters"]),
            Number(size_text(row["size_bytes"]), row["size_bytes"]),
            Number(duration_text(row["training_seconds"]), row["training_seconds"]),
            Number(speed_text(row["tokens_per_second"]), row["tokens_per_second"]),
        ]
        for _, row in board.iterrows()
    ]
    return Table("Models, mean ± sd over seeds", header, rows)


def other_scores_table(board: pd.DataFrame, shown: Sequence[str], task: str) -> Table:
    """The test scores that are not among those `shown` already."""
    metrics = [name for name in board.columns if f"{name}_sd" in board.columns and name not in shown]
    rows = [[row["model"], *(_score(name, row) for name in metrics)] for _, row in board.iterrows()]
    header = ["model", *(_score_header(name, task) for name in metrics)]
    return Table("Further scores, mean ± sd over seeds", header, rows)


def seed_table(runs: Sequence[Run], models: Sequence[str]) -> Table:
    """One row a run."""
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    header = ["model", "seed", _score_header(monitor, task), _score_header(metric, task)]
    rows = [
        [
            run.model,
            str(run.seed),
            score_text(monitor, run.best_score),
            score_text(metric, run.metrics[metric]),
            f"{run.best_epoch} of {run.epochs}",
            duration_text(run.training_seconds),
            run.run_id,
        ]
        for run in sorted(runs, key=lambda run: (models.index(run.model), run.seed))
    ]
    return Table("One row a run", [*header, "best epoch", "training time", "MLflow run"], rows)


def label_table(slices: Slices, models: Sequence[str], task: str) -> Table | None:
    """Labels, or entity types, against models: there may be many of them. None where there is but one."""
    if len(slices.sizes) < 2:
        return None
    first = "entity type" if task == "labeling" else "label"
    by_label = slices.scores.loc[list(models)].T.itertuples(name=None)
    rows = [
        [str(label), f"{size:,}", *(part_text(score, size) for score in row)]
        for (label, *row), size in zip(by_label, slices.sizes, strict=True)
    ]
    return Table(f"F1 (%) by {first}", [first, "in the test split", *models], rows)


class PairCell(NamedTuple):
    """One pair of models: the difference, row − column, in points of per cent."""

    is_told: bool  # apart
    difference: str
    outcome: str  # for the row's model
    interval: str
    p_value: str


def pair_matrix(pairs: pd.DataFrame, models: Sequence[str]) -> list[tuple[str, list[PairCell | None]]]:
    """A row for every model but the first, a column for every one but the last; None where the pair stands already."""
    cells = {(pair.second, pair.first): _pair_cell(pair) for pair in pairs.itertuples()}
    return [(second, [cells.get((second, first)) for first in models[:-1]]) for second in models[1:]]


def _pair_cell(pair: Any) -> PairCell:
    """Seen from the second model."""
    outcome = "not told apart" if not pair.significant else "beaten" if pair.difference > 0 else "beats it"
    difference = _points(-pair.difference, "+.2f")
    interval = interval_text(-pair.high, -pair.low, "+")
    return PairCell(pair.significant, difference, outcome, interval, p_text(pair.adjusted_p))


def slices_table(slices: Slices, models: Sequence[str], caption: str, unit: str = "") -> Table | None:
    """Models against parts of the test split, with the size of each part; None where there is but one."""
    if len(slices.sizes) < 2:
        return None
    header = [f"{part}{unit} (n={size:,})" for part, size in slices.sizes.items()]
    scores = slices.scores.loc[list(models)].itertuples(name=None)
    rows = [[str(model), *map(part_text, row, slices.sizes)] for model, *row in scores]
    return Table(caption, ["model", *header], rows)


def class_table(runs: Sequence[Run], model: str) -> Table:
    """Precision, recall and F1 of each label or entity type, mean over the model's seeds."""
    classes = pd.concat([run.classes for run in runs if run.model == model])
    means = classes.groupby("label", sort=False).mean()
    rows = [
        [
            str(label),
            *(part_text(row[name], row["support"]) for name in ("precision", "recall", "f1")),
            f"{row['support']:,.0f}",
        ]
        for label, row in means.iterrows()
    ]
    first = "entity type" if runs[0].task == "labeling" else "label"
    return Table(f"{model}, by {first}", [first, "precision (%)", "recall (%)", "F1 (%)", "in the test split"], rows)


def decision_table(confusion: pd.DataFrame, model: str) -> Table:
    """How often each label was given and withheld, rightly and wrongly."""
    rows = [[str(label), *(f"{count:,}" for count in counts)] for label, *counts in confusion.itertuples()]
    return Table(f"{model}, decisions by label", ["label", *confusion.columns], rows)


def score_text(metric: str, mean: float, sd: float = float("nan")) -> str:
    """``91.23 ± 0.41`` in per cent (a loss as it is); without the spread, or a dash, where there is none."""
    scale, digits = (1, 3) if metric.endswith("loss") else (100, 2)
    if pd.isna(mean):
        return "–"
    spread = "" if pd.isna(sd) else f" ± {scale * sd:.{digits}f}"
    return f"{scale * mean:.{digits}f}{spread}"


def part_text(score: float, size: float) -> str:
    """The score of a part in per cent; a dash for an empty one, and ``(33)`` for one of fewer than FEW."""
    if size == 0 or pd.isna(score):
        return "–"
    return score_text("score", score) if size >= FEW else f"({100 * score:.0f})"


def interval_text(low: float, high: float, sign: str = "") -> str:
    """``90.1 to 92.3`` in per cent; a dash where there is none. sign: ``+`` writes the sign of a difference."""
    if pd.isna(low):
        return "–"
    return f"{_points(low, f'{sign}.1f')} to {_points(high, f'{sign}.1f')}"


def p_text(p_value: float) -> str:
    """``p = 0.031``; small ones as what they are below."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def duration_text(seconds: float) -> str:
    """Seconds below a minute, then minutes and seconds, then hours and minutes."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def speed_text(speed: float) -> str:
    """To three digits, which is more than a timing can be repeated to; a dash where there is none."""
    return "–" if pd.isna(speed) else f"{float(f'{speed:.3g}'):,.0f}"


def size_text(size: float) -> str:
    """Bytes in the largest unit that leaves a number of at least 1."""
    unit = 0
    while size >= 999.5 and unit < len(BYTES) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {BYTES[unit]}" if unit == 0 or size >= 99.95 else f"{size:.1f} {BYTES[unit]}"


def _points(share: float, form: str) -> str:
    """In points of per cent; what is rounded to zero has no sign."""
    text = format(100 * share, form)
    return (text if float(text) else text.lstrip("+-")).replace("-", MINUS)


def _score(metric: str, row: pd.Series) -> Number:
    return Number(score_text(metric, row[metric], row[f"{metric}_sd"]), row[metric])


def _score_header(metric: str, task: str) -> str:
    split = "validation" if metric.startswith("val/") else "test"
    unit = "" if metric.endswith("loss") else " (%)"
    return f"{split} {metric_title(metric, task)}{unit}"
