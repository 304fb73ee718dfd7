"""Speed of the package next to other implementations: a Markdown table, also written to benchmarks/results.json.

    python -m benchmarks FOLDER [--only encoders cells crf threads lightning loading epochs]

FOLDER contains copies of imdb and conll2003 in the Hub's layout. The implementations run alternately, with one thread,
at least five times each; the table has medians. A ratio above 1 means that the package is better.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks import cells, crf, encoders, epochs, lightning, loading, threads
from benchmarks.corpora import Corpora, MissingCorpus
from benchmarks.table import HEADER, line, machine, merge
from benchmarks.timing import Row

RESULTS = Path(__file__).parent / "results.json"
GROUPS: dict[str, Callable[[Corpora], Iterator[Row]]] = {
    "encoders": lambda corpora: encoders.rows(),
    "cells": lambda corpora: cells.rows(),
    "crf": lambda corpora: crf.rows(),
    "threads": lambda corpora: threads.rows(),
    "lightning": lightning.rows,
    "loading": loading.rows,
    "epochs": epochs.rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=list(GROUPS), choices=list(GROUPS), metavar="group")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()), end="\n\n")
    print(HEADER, flush=True)
    skipped = []
    with tempfile.TemporaryDirectory() as work:
        corpora = Corpora(arguments.folder, Path(work))
        for group in arguments.only:
            try:
                merge(RESULTS, {group: printed(GROUPS[group](corpora))}, facts)
            except MissingCorpus as error:
                skipped.append(f"skipped: {group}: {error}")
    print("", *skipped, sep="\n")


def printed(rows: Iterator[Row]) -> list[Row]:
    """Print each row as soon as it is measured; return all of them."""
    kept = []
    for row in rows:
        print(line(row), flush=True)
        kept.append(row)
    return kept


if __name__ == "__main__":
    main()
