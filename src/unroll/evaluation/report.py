"""The comparison of a dataset's runs: a leaderboard, all pairs of models, and one self-contained page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from markupsafe import Markup

from unroll.data.encoding import REPLACEMENT
from unroll.data.prepared import PreparedData
from unroll.evaluation import figures, slices, tables
from unroll.evaluation.hardest import hardest_examples
from unroll.evaluation.leaderboard import (
    equally_good,
    leaderboard,
    main_metric,
    single_device,
    with_intervals_over_texts,
)
from unroll.evaluation.pairs import compare_pairs, conclusion, enumerate_words
from unroll.evaluation.runs import Run, check_scored_on
from unroll.evaluation.scores import label_kind, metric_title
from unroll.files import make_folder, write_json, write_text
from unroll.pages import formats
from unroll.pages.drawing import inline_svg
from unroll.pages.formats import score_text
from unroll.pages.page import Table, render
from unroll.statistics.comparison import compact_letters

FILES = ("index.html", "leaderboard.csv", "pairs.csv")
METRICS = "metrics"  # the folder with a JSON file per model
MODELS_WITH_COSTS = 3  # fewer are compared by cost in the leaderboard alone


def write_comparison(
    runs: Sequence[Run],
    data: PreparedData,
    folder: Path,
    level: float = 0.05,
    raw: Path | None = None,
    text_columns: Sequence[str] = (),
    tracking_uri: str | None = None,
) -> None:
    """Write FILES and ``metrics/MODEL.json`` into `folder`; the same arguments give the same bytes.

    Args:
        runs: of one dataset, each model with at least one seed.
        level: significance level of the tests; intervals are at 1 − level.
        raw: folder of the raw data, whose `text_columns` show examples as they were written; None shows their tokens.
        tracking_uri: of the MLflow store; runs are linked if it is the http(s) address of a server.

    Raises:
        ValueError: the level is outside 0..1, or the runs were scored on other test examples than `data` has.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}; accepted: above 0, below 1")
    check_scored_on(runs, data)
    make_folder(folder)
    board = with_intervals_over_texts(leaderboard(runs, level), runs, level)
    models = list(board["model"])
    pairs = compare_pairs(runs, models, level)
    for name, table in (("leaderboard.csv", board), ("pairs.csv", pairs)):
        write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))
    _write_metrics(board, folder / METRICS)
    hardest = hardest_examples(runs, models, data, raw, text_columns)
    links = _run_links(runs, tracking_uri)
    seeds = tables.seed_table(runs, models, links)
    page = _page(runs, data, board, pairs, level, hardest=hardest, seeds=seeds, linked=bool(links))
    write_text(folder / "index.html", page)


def _write_metrics(board: pd.DataFrame, folder: Path) -> None:
    """One JSON file per model, with the mean and standard deviation of each test metric, and none of other models."""
    folder.mkdir(exist_ok=True)
    names = [name for name in board.columns if name.startswith("test/") and not name.endswith(("_low", "_high"))]
    for _, row in board.iterrows():
        values = {name: float(row[name]) for name in names if pd.notna(row[name])}
        write_json(folder / f"{row['model']}.json", {"seeds": int(row["seeds"]), **values})
    for file in folder.glob("*.json"):
        if file.stem not in set(board["model"]):
            file.unlink()


def _run_links(runs: Sequence[Run], tracking_uri: str | None) -> dict[str, str]:
    """Addresses of the runs' pages on an MLflow server, by run id; empty for a store without a server."""
    parts = urlsplit(tracking_uri or "")
    if parts.scheme not in ("http", "https"):
        return {}
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"  # without a password
    return {run.run_id: f"{server}/#/runs/{run.run_id}" for run in runs}


def _page(
    runs: Sequence[Run], data: PreparedData, board: pd.DataFrame, pairs: pd.DataFrame, level: float, **others: Any
) -> str:
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    models, title = list(board["model"]), metric_title(metric, task)
    winner, confidence = board.iloc[0], f"{100 * (1 - level):.4g} %"
    significant = pairs.loc[pairs["significant"], ["first", "second"]].itertuples(index=False, name=None)
    single = set(board["model"][board["seeds"] == 1])
    lengths, unseen = slices.slices_by_length(runs), slices.slices_by_unseen_words(runs, data)
    entities = slices.slices_by_seen_entities(runs, data) if task == "labeling" else None
    kind = label_kind(task)
    return render(
        Path(__file__).with_name("report.html.j2"),
        dataset=runs[0].dataset,
        task=task,
        kind=kind,
        is_pair=data.schema.is_pair,
        metric=title,
        level=f"{level:.4g}",
        confidence=confidence,
        formats=formats,
        models=models,
        winner=models[0],
        equals=enumerate_words(equals) if len(equals := equally_good(board, monitor)) > 1 else None,
        winner_seeds=int(winner["seeds"]),
        winner_validation=score_text(monitor, winner[monitor]),
        winner_test=score_text(metric, winner[metric], winner[f"{metric}_sd"]),
        conclusion=conclusion(pairs, models[0]) if len(models) > 1 else None,
        device=single_device(board),
        most_seeds=int(board["seeds"].max()),
        # some pair has one run each, and at least one of them depends on the seed
        as_trained=len(single) > 1 and any(run.seeded for run in runs if run.model in single),
        leaderboard=tables.leaderboard_table(board, compact_letters(models, significant), runs, confidence),
        other_scores=tables.other_scores_table(board, [monitor, metric], task),
        pairs={(pair.first, pair.second): pair for pair in pairs.itertuples()},
        fronts=figures.fronts_in_words(board, monitor),
        has_unknown=any(REPLACEMENT in mark.text for example in others["hardest"] for mark in example.text),
        lengths=tables.slices_table(lengths, models, f"test {title} (%) by text length", " tokens"),
        unseen=tables.slices_table(unseen, models, f"test {title} (%) by share of words that are missing from train"),
        labels=tables.label_table(slices.slices_by_label(runs), models, kind),
        classes=tables.class_table(runs, models[0], kind),
        entities=entities and tables.slices_table(entities, models, "Entity recall (%) by occurrence in train"),
        confusions={model: _confusion(runs, model, f"confusion-{index}") for index, model in enumerate(models)},
        **_figures(runs, board, lengths),
        **others,
    )


def _figures(runs: Sequence[Run], board: pd.DataFrame, lengths: slices.Slices) -> dict[str, Markup | None]:
    """The figures but for the confusion matrices; None for one that is not informative."""
    monitor, metric, models = runs[0].monitor, f"test/{main_metric(runs)}", list(board["model"])
    costs = curves = by_length = None
    words = figures.describe_scores(board, metric)
    scores = inline_svg(figures.score_figure(runs, board), "scores", "Test score of each model", words)
    if len(board) >= MODELS_WITH_COSTS:
        words = figures.describe_costs(board, monitor)
        costs = inline_svg(figures.cost_figure(runs), "costs", "Validation score against cost", words)
    if any(len(run.history) > 1 for run in runs):
        words = figures.describe_curves(runs, models)
        curves = inline_svg(figures.learning_curve_figure(runs), "curves", "Validation score by epoch", words)
    if len(lengths.sizes) > 1:
        words = figures.describe_lengths(lengths)
        by_length = inline_svg(figures.length_figure(runs, lengths), "lengths", "Test score by text length", words)
    return {"score_figure": scores, "cost_figure": costs, "curve_figure": curves, "length_figure": by_length}


def _confusion(runs: Sequence[Run], model: str, name: str) -> Markup | Table:
    """The confusion matrix as a figure; for multilabel a table of decisions, since labels do not exclude each other."""
    first, *others = [run.confusion for run in runs if run.model == model]
    total = sum(others, first)
    if runs[0].task == "multilabel":
        return tables.decision_table(total, model)
    words = figures.describe_confusion(total)
    return inline_svg(figures.confusion_figure(total), name, f"Confusion matrix of {model}", words)
