"""The model card: purpose, data, scores, limits, use and origin of a version."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from unroll.evaluation.leaderboard import leaderboard, main_metric
from unroll.evaluation.pairs import compare_predictions
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import label_kind, metric_title
from unroll.evaluation.slices import slices_by_length
from unroll.files import read_json
from unroll.pages import formats
from unroll.pages.formats import score_text
from unroll.pages.page import render
from unroll.registry.candidate import Candidate
from unroll.registry.gate import Decision
from unroll.statistics.comparison import PairedComparison, holm, interval_over_seeds
from unroll.tracking.runs import flatten

_PUNCTUATION = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")  # what means something in Markdown
_HIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")  # not shown
MOST_VALUES, LONGEST_VALUE = 20, 200  # languages or licences of a README, and characters of each
DESCRIPTION_LIMIT = 5000  # maximum length of the description of a version in MLflow


def write_card(
    candidate: Candidate, rivals: Sequence[Run], version: int, origin: dict[str, str], decision: Decision, level: float
) -> str:
    """Write the model card in Markdown.

    Args:
        rivals: all runs that the candidate was chosen from, including its own.
        origin: the tags of its lineage.
        level: significance level of the tests against the other models; intervals have the confidence 1 − `level`.
    """
    runs, folder = candidate.runs, candidate.run_folder(candidate.best).model
    classes = pd.concat([run.classes for run in runs]).groupby("label", sort=False).mean().reset_index()
    return render(
        Path(__file__).with_name("card.md.j2"),
        _text,
        candidate=candidate,
        version=version,
        decision=decision,
        origin=origin,
        folder=folder,
        confidence=f"{100 * (1 - level):g} %",
        main=f"test/{main_metric(runs)}",
        means=leaderboard(runs).iloc[0],
        intervals={metric: _interval(runs, metric, level) for metric in candidate.best.metrics},
        language=_declared(Path(origin["dataset.path"]), "language"),
        licence=_declared(Path(origin["dataset.path"]), "license"),
        classes=classes.to_dict("records"),
        score_by_length=slices_by_length(runs).scores.iloc[0].dropna(),  # the runs are of one model
        others=_others(candidate, rivals, level),
        configuration=flatten(read_json(folder / "config.json")["model"]),
        code=_code,
        title=partial(metric_title, task=candidate.data.task),
        kind=label_kind(candidate.data.task),
        formats=formats,
    )


def description_of(card: str) -> str:
    """The description of a version for MLflow: the sections of the card that fit, without the title.

    Space is added between the cells of table rows, which MLflow's page does not do.
    """
    rest = "\n…the whole card is `model_card.md`, among the artifacts of the run.\n"
    lines = (it.replace(" | ", " | &emsp;") if it.startswith("| ") else it for it in card.splitlines()[2:])
    shown, *sections = "\n".join(lines).split("\n## ")
    for section in sections:
        longer = f"{shown}\n## {section}"
        if len(longer) + len(rest) > DESCRIPTION_LIMIT:
            return shown + rest
        shown = longer
    return shown + "\n"


def _interval(runs: Sequence[Run], metric: str, level: float) -> str:
    if len(runs) == 1:
        return "–"
    low, high = interval_over_seeds([run.metrics[metric] for run in runs], level)
    upper = float("inf") if metric.endswith("loss") else 1.0
    return f"{score_text(metric, max(low, 0.0))} to {score_text(metric, min(high, upper))}"


def _others(candidate: Candidate, rivals: Sequence[Run], level: float) -> list[tuple[Any, PairedComparison, float]]:
    """For each other model: its row in the leaderboard, the comparison with the candidate, and the p-value (Holm)."""
    others = [row for row in leaderboard(rivals).to_dict("records") if row["model"] != candidate.best.model]
    own = [run.predictions for run in candidate.runs]
    comparisons = []
    for row in others:
        theirs = [run.predictions for run in rivals if run.model == row["model"]]
        comparisons.append(compare_predictions(own, theirs, candidate.data.task, level))
    adjusted = holm([comparison.p_value for comparison in comparisons])
    return list(zip(others, comparisons, map(float, adjusted), strict=True))


def _declared(folder: Path, key: str) -> str:
    """A value of the YAML header of the README in the folder of the dataset; empty if there is none."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8-sig", errors="replace") if readme.is_file() else ""
    try:
        header = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that does not exist
        return ""
    value = header.get(key) if isinstance(header, dict) else None
    values = value if isinstance(value, list) else [value]
    texts = [str(it) for it in values[:MOST_VALUES] if it and not isinstance(it, dict | list)]  # nested aliases grow
    return ", ".join(f"{it[:LONGEST_VALUE]}…" if len(it) > LONGEST_VALUE else it for it in texts)


def _text(value: Any) -> str:
    """Escape a value of the template, which may come from the data, so that Markdown and HTML show it as it is."""
    if isinstance(value, Markup):
        return value
    text = _PUNCTUATION.sub(r"\\\g<0>", _line(value))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _code(value: Any) -> Markup:
    """Format text as code, also in a cell of a Markdown table."""
    return Markup("`" + _line(value).strip().replace("`", "'").replace("|", "\\|") + "`")


def _line(value: Any) -> str:
    """Text in one line, without characters that hide or reorder others, or that a database refuses."""
    return _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"\s+", " ", str(value)))
