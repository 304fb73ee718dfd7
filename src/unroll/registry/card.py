"""The model card: what a version is, what it was trained on, how good it is, and where it ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from unroll.data.schema import Task
from unroll.evaluation.leaderboard import leaderboard, main_metric
from unroll.evaluation.pairs import compare_predictions
from unroll.evaluation.runs import Run
from unroll.evaluation.scores import metric_title
from unroll.evaluation.slices import slices_by_length
from unroll.files import read_json
from unroll.pages.formats import FEW, duration_text, part_text, score_text, speed_text
from unroll.registry.candidate import Candidate
from unroll.registry.gate import Decision
from unroll.registry.lineage import Lineage
from unroll.statistics.comparison import holm, interval_over_seeds
from unroll.tracking.runs import flatten

DESCRIPTION_LIMIT = 5000  # characters that MLflow's database has for the description of a version
DOES: dict[Task, str] = {
    "classification": "gives a text one label",
    "labeling": "marks the entities of a text",
    "multilabel": "gives a text any number of labels",
}
ANSWERS: dict[Task, str] = {
    "classification": "`label` and its `probability`",
    "labeling": "`tokens`, their `labels`, and the `entities` with their places in the text",
    "multilabel": "`labels` and the `probabilities` of all",
}
Row = Sequence[str]


def write_card(
    candidate: Candidate, rivals: Sequence[Run], version: int, lineage: Lineage, decision: Decision, level: float
) -> str:
    """The card as Markdown.

    Args:
        rivals: all runs that the candidate was chosen from, its own included.
        level: intervals are at 1 − `level`, and so are the tests against the other models.
    """
    best, data = candidate.best, candidate.data
    task, metric = data.task, f"test/{main_metric(candidate.runs)}"
    config = read_json(candidate.run_folder(best) / "model" / "config.json")
    classes = _classes(candidate.runs)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _cell, "code": _code}
    return environment.get_template("card.md.j2").render(
        best=best,
        task=task,
        does=DOES[task],
        answers=ANSWERS[task],
        is_pair=data.schema.is_pair,
        version=version,
        decision=decision,
        lineage=lineage.tags(),
        folder=candidate.run_folder(best) / "model",
        seeds=[run.seed for run in candidate.runs],
        run_ids=candidate.run_ids,
        confidence=f"{100 * (1 - level):g} %",
        metric=metric_title(metric, task),
        score=_mean(candidate.runs, metric),
        interval=_interval(candidate.runs, metric, level),
        scores=_scores(candidate, level),
        costs=_costs(candidate.runs),
        data=data.description,
        language=_declared(Path(lineage.path), "language"),
        licence=_declared(Path(lineage.path), "license"),
        is_hub=lineage.revision is not None,
        kind="entity type" if task == "labeling" else "label",
        classes=[[_cell(row["label"]), *_class_scores(row)] for row in classes],
        few=FEW,
        weakest=_weakest(classes),
        weakest_length=_weakest_length(candidate.runs),
        others=_others(candidate, rivals, level),
        configuration=flatten(config["model"]),
    )


def description_of(card: str) -> str:
    """As many of a card's sections as fit where MLflow shows a version, which has the title already."""
    rest = "\n…the whole card is `model_card.md`, among the artifacts of the run.\n"
    first, *sections = "\n".join(map(_spaced, card.splitlines()[2:])).split("\n## ")
    shown = first
    for section in sections:
        longer = f"{shown}\n## {section}"
        if len(longer) + len(rest) > DESCRIPTION_LIMIT:
            return shown + rest
        shown = longer
    return shown + "\n"


def _spaced(line: str) -> str:
    """A row of a table whose cells stand apart, which they do not by themselves on MLflow's page."""
    return line.replace(" | ", " | &emsp;") if line.startswith("| ") else line


def _scores(candidate: Candidate, level: float) -> list[Row]:
    """Of each metric: its title, the score of the best seed's network, the mean, the interval over seeds."""
    best, runs = candidate.best, candidate.runs
    return [
        [
            metric_title(name, best.task),
            score_text(name, score),
            _mean(runs, name),
            _interval(runs, name, level),
        ]
        for name, score in sorted(best.metrics.items())
    ]


def _mean(runs: Sequence[Run], metric: str) -> str:
    return score_text(metric, sum(run.metrics[metric] for run in runs) / len(runs))


def _interval(runs: Sequence[Run], metric: str, level: float) -> str:
    if len(runs) == 1:
        return "–"
    low, high = interval_over_seeds([run.metrics[metric] for run in runs], level)
    most = float("inf") if metric.endswith("loss") else 1.0
    return f"{score_text(metric, max(low, 0.0))} to {score_text(metric, min(high, most))}"


def _costs(runs: Sequence[Run]) -> list[Row]:
    seconds = sum(run.training_seconds for run in runs) / len(runs)
    speed = sum(run.tokens_per_second for run in runs) / len(runs)
    return [
        ["parameters", f"{runs[0].parameters:,}"],
        ["training, a seed", duration_text(seconds)],
        ["reading, one core", f"{speed_text(speed)} tokens/s"],
    ]


def _classes(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Mean over seeds of each label's or entity type's scores."""
    means = pd.concat([run.classes for run in runs]).groupby("label", sort=False).mean().reset_index()
    return [dict(row) for _, row in means.iterrows()]


def _class_scores(row: dict[str, Any]) -> list[str]:
    scores = [part_text(row[name], row["support"]) for name in ("precision", "recall", "f1")]
    return [*scores, f"{row['support']:,.0f}"]


def _weakest(classes: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The label or entity type with the lowest F1 of those that the test split has; None where that is but one."""
    found = [row for row in classes if row["support"] > 0]
    return min(found, key=lambda row: row["f1"]) if len(found) > 1 else None


def _weakest_length(runs: Sequence[Run]) -> list[str] | None:
    """Lengths of the texts that are read worst, and their score; None where all are of one length."""
    scores = slices_by_length(runs).scores.iloc[0].dropna()  # of the one model that these runs are of
    if len(scores) < 2:
        return None
    return [str(scores.idxmin()), score_text(f"test/{main_metric(runs)}", scores.min())]


def _others(candidate: Candidate, rivals: Sequence[Run], level: float) -> list[Row]:
    """Of each other model: name, validation and test score, and the candidate's lead over it."""
    metric, monitor = f"test/{main_metric(rivals)}", candidate.best.monitor
    others = [row for _, row in leaderboard(rivals).iterrows() if row["model"] != candidate.best.model]
    own = [run.predictions for run in candidate.runs]
    found = [
        compare_predictions(
            own, [run.predictions for run in rivals if run.model == row["model"]], candidate.data.task, level
        )
        for row in others
    ]
    adjusted = holm([comparison.p_value for comparison in found])
    return [
        [
            row["model"],
            score_text(monitor, row[monitor]),
            score_text(metric, row[metric]),
            f"{100 * comparison.difference:+.2f} ({100 * comparison.low:+.2f} to {100 * comparison.high:+.2f})",
            f"{p_value:.2g}",
        ]
        for row, comparison, p_value in zip(others, found, adjusted, strict=True)
    ]


def _declared(folder: Path, key: str) -> str:
    """What the header of a README in the dataset's folder says, as those of the Hub do; empty where it says nothing."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    try:
        header = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    except yaml.YAMLError:
        return ""
    value = header.get(key) if isinstance(header, dict) else None
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _cell(value: Any) -> str:
    """Text that stands for itself in a table."""
    text = " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("`", "\\`")


def _code(value: Any) -> str:
    """The same, set as code."""
    return "`" + str(value).replace("`", "'").replace("|", "\\|") + "`"
