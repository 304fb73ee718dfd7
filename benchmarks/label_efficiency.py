"""Test scores by the number of labels, with and without pretraining: a Markdown table, tests, and a picture.

    python -m benchmarks.label_efficiency FOLDER --system "scratch: model=bilstm" \\
        --system "pretrained: model=bilstm pretrained=PATH" --system "tfidf: model=tfidf"

FOLDER contains copies of the public datasets in the Hub's layout. A system is a name and overrides of the train stage.
Each seed draws its own rows of train, and at most as many of validation; the test split is whole. The first system is
the one that the others are tested against, with the tests of the compare stage on the same test examples and seeds,
adjusted by Holm over all tests of the table. The numbers in the table are means ± standard deviations over seeds.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import pandas as pd
from joblib import cpu_count
from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.corpora import Corpora, MissingCorpus
from benchmarks.scores import METRICS, train_and_evaluate
from unroll.data.tokens import Task
from unroll.evaluation.pairs import compare_predictions
from unroll.pages.drawing import COLORS, STYLE
from unroll.statistics.comparison import PairedComparison, holm

LABELS = [100, 500, 2000, 10**9]
Scores = dict[tuple[str, int], list[float]]  # of each seed, by system and number of labels


class System(NamedTuple):
    """A name in the table, and overrides of the train stage."""

    name: str
    overrides: list[str]

    @classmethod
    def parse(cls, text: str) -> "System":
        name, colon, overrides = text.partition(":")
        if not colon or not name.strip():
            raise argparse.ArgumentTypeError(f"{text!r}; accepted: NAME: OVERRIDES of the train stage")
        return cls(name.strip(), overrides.split())


class Cell(NamedTuple):
    """The trainings of a system with a number of labels, by seed, and the folders of their predictions."""

    task: Task
    futures: list[Future[float]]
    runs: list[Path]

    def predictions(self) -> list[pd.DataFrame]:
        return [pd.read_parquet(run / "predictions.parquet") for run in self.runs]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.label_efficiency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--system", action="append", required=True, type=System.parse, metavar="NAME: OVERRIDES")
    parser.add_argument("--dataset", default="rotten_tomatoes", choices=list(METRICS))
    parser.add_argument("--labels", nargs="+", type=int, default=LABELS, help="a large number takes all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool,
    ):
        work = Path(folder)
        try:
            sizes, cells = start(given.dataset, given.system, given.labels, given.seeds, given.folder, work, pool)
        except MissingCorpus as error:
            sys.exit(f"error: {error}")
        scores = {key: [100 * it.result() for it in cell.futures] for key, cell in cells.items()}
        tests = compare(given.system, sizes, cells) if given.seeds > 1 else {}
        for line in table(given.dataset, given.system, sizes, scores, tests):
            print(line)
        if given.picture:
            draw(given.dataset, given.system, sizes, scores).savefig(given.picture, dpi=200)


def start(
    dataset: str,
    systems: list[System],
    labels: list[int],
    seeds: int,
    folder: Path,
    work: Path,
    pool: ProcessPoolExecutor,
) -> tuple[list[int], dict[tuple[str, int], Cell]]:
    """Prepare the parts of the dataset and start all trainings.

    Returns:
        The number of rows of train for each of `labels`, and the trainings by system and that number.
    """
    corpora, sizes = Corpora(folder, work), []
    cells: dict[tuple[str, int], Cell] = {}
    for count in labels:
        parts = [corpora.part(dataset, count, seed) for seed in range(1, seeds + 1)]
        description = parts[0].description["splits"]
        carved = 0 if (parts[0].folder.parent / "hub" / "validation.parquet").exists() else 1
        sizes.append(description["train"]["rows"] + carved * description["validation"]["rows"])
        for system in systems:
            cell = cells[system.name, sizes[-1]] = Cell(parts[0].task, [], [])
            for seed, data in enumerate(parts, start=1):
                run = work / "runs" / system.name / f"{count}_{seed}"
                run.mkdir(parents=True)
                cell.runs.append(run)
                overrides = [*system.overrides, f"seed={seed}"]
                cell.futures.append(pool.submit(score, data.folder, dataset, overrides, run))
    return sizes, cells


def score(data: Path, dataset: str, overrides: list[str], run: Path) -> float:
    return train_and_evaluate(data, dataset, overrides, run).score


def compare(
    systems: list[System], sizes: list[int], cells: dict[tuple[str, int], Cell]
) -> dict[tuple[str, int], tuple[PairedComparison, float]]:
    """Each system against the first, by name and number of labels, with the adjusted p-value."""
    keys = [(system.name, size) for size in sizes for system in systems[1:]]
    found = {}
    for name, size in keys:
        cell, first = cells[name, size], cells[systems[0].name, size]
        found[name, size] = compare_predictions(cell.predictions(), first.predictions(), cell.task)
    adjusted = holm([test.p_value for test in found.values()])
    return {key: (test, float(p)) for (key, test), p in zip(found.items(), adjusted, strict=True)}


def table(
    dataset: str,
    systems: list[System],
    sizes: list[int],
    scores: Scores,
    tests: dict[tuple[str, int], tuple[PairedComparison, float]],
) -> Iterator[str]:
    """One row for each system; a star marks a significant difference from the first at 0.05."""
    yield f"{METRICS[dataset]} of {dataset} in per cent, by the number of labels"
    yield ""
    yield f"| system | {' | '.join(f'{size:,}' for size in sizes)} |\n|---|{'---|' * len(sizes)}"
    for system in systems:
        shown = []
        for size in sizes:
            values = scores[system.name, size]
            text = f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")
            if (system.name, size) in tests:
                test, p = tests[system.name, size]
                text += f" ({100 * test.difference:+.2f}{'*' if p < 0.05 else ''})"
            shown.append(text)
        yield f"| {system.name}: `{' '.join(system.overrides)}` | {' | '.join(shown)} |"
    yield ""
    yield "In brackets: the difference from the first system; * p < 0.05, adjusted by Holm over the table."


def draw(dataset: str, systems: list[System], sizes: list[int], scores: Scores) -> Figure:
    """Mean scores over the number of labels, with bars of one standard deviation."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        axes = figure.subplots()
        for color, system in zip(COLORS, systems, strict=False):
            values = [scores[system.name, size] for size in sizes]
            spread = [stdev(it) if len(it) > 1 else 0.0 for it in values]
            means = [mean(it) for it in values]
            axes.errorbar(sizes, means, spread, color=color, marker="o", markersize=4, capsize=3, label=system.name)
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("labels")
        axes.set_ylabel(f"{METRICS[dataset]}, per cent")
        axes.set_title(dataset)
        axes.legend()
    return figure


if __name__ == "__main__":
    main()
