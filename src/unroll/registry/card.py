"""The model card: purpose, data, scores, limits, use and origin of a version."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from unroll.data.tokens import Task
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

DESCRIPTION_LIMIT = 5000  # maximum length of the description of a version in MLflow
PURPOSE: dict[Task, str] = {
    "classification": "assigns one label to a text",
    "labeling": "finds the entities in a text",
    "multilabel": "assigns any number of labels to a text",
}
OUTPUTS: dict[Task, str] = {
    "classification": "`label` and its `probability`",
    "labeling": "`tokens`, their `labels`, and the `entities` with their offsets in the text",
    "multilabel": "`labels`, and the `probabilities` of all labels",
}
Row = Sequence[str]


def write_card(
    candidate: Candidate, rivals: Sequence[Run], version: int, lineage: Lineage, decision: Decision, level: float
) -> str:
    """Write the model card in Markdown.

    Args:
        rivals: all runs that the candidate was chosen from, including its own.
        level: significance level of the tests against the other models; intervals have the confidence 1 − `level`.
    """
    best, data = candidate.best, candidate.data
    task, metric = data.task, f"test/{main_metric(candidate.runs)}"
    folder = candidate.run_folder(best).model
    config = read_json(folder / "config.json")
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
        purpose=PURPOSE[task],
        outputs=OUTPUTS[task],
        is_pair=data.schema.is_pair,
        version=version,
        decision=decision,
        lineage=lineage.tags(),
        folder=folder,
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
    """The description of a version for MLflow: the sections of the card that fit, without the title."""
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
    """Add space between the cells of a table row, which MLflow's page does not do."""
    return line.replace(" | ", " | &emsp;") if line.startswith("| ") else line


def _scores(candidate: Candidate, level: float) -> list[Row]:
    """For each metric: title, score of the best seed, mean over seeds, interval over seeds."""
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
    upper = float("inf") if metric.endswith("loss") else 1.0
    return f"{score_text(metric, max(low, 0.0))} to {score_text(metric, min(high, upper))}"


def _costs(runs: Sequence[Run]) -> list[Row]:
    seconds = sum(run.training_seconds for run in runs) / len(runs)
    speed = sum(run.tokens_per_second for run in runs) / len(runs)
    return [
        ["parameters", f"{runs[0].parameters:,}"],
        ["training time per seed", duration_text(seconds)],
        ["inference on one core", f"{speed_text(speed)} tokens/s"],
    ]


def _classes(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Scores of each label or entity type, averaged over seeds."""
    means = pd.concat([run.classes for run in runs]).groupby("label", sort=False).mean().reset_index()
    return [dict(row) for _, row in means.iterrows()]


def _class_scores(row: dict[str, Any]) -> list[str]:
    scores = [part_text(row[name], row["support"]) for name in ("precision", "recall", "f1")]
    return [*scores, f"{row['support']:,.0f}"]


def _weakest(classes: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The label or entity type in the test split with the lowest F1; None if there is only one."""
    found = [row for row in classes if row["support"] > 0]
    return min(found, key=lambda row: row["f1"]) if len(found) > 1 else None


def _weakest_length(runs: Sequence[Run]) -> list[str] | None:
    """The range of text lengths with the lowest score, and the score; None if there is only one range."""
    scores = slices_by_length(runs).scores.iloc[0].dropna()  # the runs are of one model
    if len(scores) < 2:
        return None
    return [str(scores.idxmin()), score_text(f"test/{main_metric(runs)}", scores.min())]


def _others(candidate: Candidate, rivals: Sequence[Run], level: float) -> list[Row]:
    """For each other model: name, validation and test score, difference to the candidate, and p-value."""
    metric, monitor = f"test/{main_metric(rivals)}", candidate.best.monitor
    others = [row for _, row in leaderboard(rivals).iterrows() if row["model"] != candidate.best.model]
    own = [run.predictions for run in candidate.runs]
    comparisons = [
        compare_predictions(
            own, [run.predictions for run in rivals if run.model == row["model"]], candidate.data.task, level
        )
        for row in others
    ]
    adjusted = holm([comparison.p_value for comparison in comparisons])
    return [
        [
            row["model"],
            score_text(monitor, row[monitor]),
            score_text(metric, row[metric]),
            f"{100 * comparison.difference:+.2f} ({100 * comparison.low:+.2f} to {100 * comparison.high:+.2f})",
            f"{p_value:.2g}",
        ]
        for row, comparison, p_value in zip(others, comparisons, adjusted, strict=True)
    ]


def _declared(folder: Path, key: str) -> str:
    """A value of the YAML header of the README in the folder of the dataset; empty if there is none."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    try:
        header = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    except yaml.YAMLError:
        return ""
    value = header.get(key) if isinstance(header, dict) else None
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _cell(value: Any) -> str:
    """Escape text for a cell of a Markdown table."""
    text = " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("`", "\\`")


def _code(value: Any) -> str:
    """Format text as code in a cell of a Markdown table."""
    return "`" + str(value).replace("`", "'").replace("|", "\\|") + "`"
