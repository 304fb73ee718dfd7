"""The comparison of a dataset's runs: a leaderboard, all pairs of models, and one self-contained page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from unroll.data.prepared import PreparedData
from unroll.evaluation import figures, tables, wording
from unroll.evaluation.hardest import hardest_examples
from unroll.evaluation.leaderboard import leaderboard, main_metric, with_intervals_over_texts
from unroll.evaluation.pairs import compare_pairs
from unroll.evaluation.runs import Run, check_scored_on
from unroll.evaluation.scores import metric_title
from unroll.evaluation.slices import (
    Slices,
    slices_by_label,
    slices_by_length,
    slices_by_seen_entities,
    slices_by_unseen_words,
)
from unroll.files import write_text
from unroll.pages.drawing import inline_svg
from unroll.pages.page import Table, render
from unroll.statistics.compact_letters import compact_letters

FILES = ("index.html", "leaderboard.csv", "pairs.csv")


def write_report(runs: Sequence[Run], data: PreparedData, folder: Path, level: float = 0.05) -> None:
    """Write FILES into ``folder``; the same runs give the same bytes.

    data: what the runs were scored on. level: of the tests; intervals are at 1 − level.

    Raises ValueError for a level outside 0..1, and for runs that were scored on other test examples.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}; accepted: above 0, below 1")
    check_scored_on(runs, data)
    folder.mkdir(parents=True, exist_ok=True)
    board = with_intervals_over_texts(leaderboard(runs, level), runs, level)
    pairs = compare_pairs(runs, list(board["model"]), level)
    for name, table in (("leaderboard.csv", board), ("pairs.csv", pairs)):
        write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "index.html", _page(runs, data, board, pairs, level))


def _page(runs: Sequence[Run], data: PreparedData, board: pd.DataFrame, pairs: pd.DataFrame, level: float) -> str:
    task, monitor, metric = runs[0].task, runs[0].monitor, f"test/{main_metric(runs)}"
    models = list(board["model"])
    winner, confidence = board.iloc[0], f"{100 * (1 - level):.4g} %"
    significant = pairs.loc[pairs["significant"], ["first", "second"]].itertuples(index=False, name=None)
    letters = compact_letters(models, significant)
    return render(
        Path(__file__).with_name("report.html.j2"),
        dataset=runs[0].dataset,
        task=task,
        metric=metric_title(metric, task),
        winner=models[0],
        models=models,
        confidence=confidence,
        winner_seeds=int(winner["seeds"]),
        most_seeds=int(board["seeds"].max()),
        as_trained=_some_pair_is_as_trained(runs, board),
        winner_validation=tables.score_text(monitor, winner[monitor]),
        winner_test=tables.score_text(metric, winner[metric], winner[f"{metric}_sd"]),
        few=tables.FEW,
        conclusion=wording.who_beats_whom(pairs, models[0]) if len(models) > 1 else None,
        leaderboard=tables.leaderboard_table(board, letters, runs, confidence),
        other_scores=tables.other_scores_table(board, [monitor, metric], task),
        seeds=tables.seed_table(runs, models),
        matrix=tables.pair_matrix(pairs, models),
        fronts=wording.fronts_in_words(board, monitor),
        hardest=hardest_examples(runs, models, data),
        classes=tables.class_table(runs, models[0]),
        score_figure=inline_svg(
            figures.score_figure(runs), "scores", "Test score of each model", wording.scores_seen(board, metric)
        ),
        cost_figure=inline_svg(
            figures.cost_figure(runs), "costs", "Validation score against cost", wording.costs_seen(board, monitor)
        ),
        curve_figure=_curves(runs, models),
        confusions={model: _confusion(runs, model, f"confusion-{place}") for place, model in enumerate(models)},
        **_slices(runs, models, data),
    )


def _some_pair_is_as_trained(runs: Sequence[Run], board: pd.DataFrame) -> bool:
    """Whether two models have a single run each, and one of them would be another with another seed."""
    single = set(board["model"][board["seeds"] == 1])
    return len(single) > 1 and any(run.seeded for run in runs if run.model in single)


def _slices(runs: Sequence[Run], models: Sequence[str], data: PreparedData) -> dict[str, Any]:
    """Tables of the parts of the test split, and the picture of lengths; None where all is in one part."""
    task = runs[0].task
    metric = f"test {metric_title(main_metric(runs), task)} (%)"
    lengths, unseen = slices_by_length(runs), slices_by_unseen_words(runs, data)
    entities = slices_by_seen_entities(runs, data) if task == "labeling" else None
    return {
        "lengths": tables.slices_table(lengths, models, f"{metric} by text length", " tokens"),
        "length_figure": _lengths(runs, lengths),
        "unseen": tables.slices_table(unseen, models, f"{metric} by share of words that train does not have"),
        "labels": tables.label_table(slices_by_label(runs), models, task),
        "entities": entities and tables.slices_table(entities, models, "Entity recall (%) by what train has"),
    }


def _lengths(runs: Sequence[Run], slices: Slices) -> Markup | None:
    if len(slices.sizes) < 2:
        return None
    seen = wording.lengths_seen(slices)
    return inline_svg(figures.length_figure(runs, slices), "lengths", "Test score by text length", seen)


def _curves(runs: Sequence[Run], models: Sequence[str]) -> Markup | None:
    """None where no model was trained in epochs."""
    if all(len(run.history) == 1 for run in runs):
        return None
    seen = wording.curves_seen(runs, models)
    return inline_svg(figures.learning_curve_figure(runs), "curves", "Validation score by epoch", seen)


def _confusion(runs: Sequence[Run], model: str, name: str) -> Markup | Table:
    """A picture; or a table for multilabel, where no label is taken for another."""
    total = _total_confusion(runs, model)
    if runs[0].task == "multilabel":
        return tables.decision_table(total, model)
    seen = wording.confusion_seen(total)
    return inline_svg(figures.confusion_figure(total), name, f"Confusion matrix of {model}", seen)


def _total_confusion(runs: Sequence[Run], model: str) -> pd.DataFrame:
    first, *others = [run.confusion for run in runs if run.model == model]
    for confusion in others:
        first = first + confusion
    return first
