"""Validation scores of models on little training data: mean and standard deviation over draws, as a Markdown table.

    python -m benchmarks.small_data FOLDER [--only text entities] [--match WORD] [--draws N] [--vectors FILE]

FOLDER and FILE are those of `benchmarks.scores`. Each training reads its own draw of ROWS rows of the training split,
with the draw's number as its seed; all are scored on the same validation rows. The test split is not read. imdb, which
has no validation split, is scored on 2,500 other training rows. A line with FILE is prepared with its words too. One
training at a time; the numbers in brackets are the seconds of one.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.corpora import Corpora, MissingCorpus
from benchmarks.scores import BOTH_WAYS, Result, cell
from benchmarks.shipped import training
from unroll.data.prepared import PreparedData
from unroll.training.train import train

BASELINES = ("model=majority", "model=tfidf", "model=crfsuite")
VALIDATION_ROWS = 2500  # of a dataset without a validation split
TEXTS = ("rotten_tomatoes 500", "rotten_tomatoes 2000", "rotten_tomatoes all", "imdb 2000")
ENTITIES = ("conll2003 1000", "conll2003 all")
FILE = "vectors=FILE model.embedding_size=50"
LONGER = "model.dropout=0.6 trainer.max_epochs=20"
SMALL_BATCHES = "trainer.max_epochs=12 batch_size=16 optimizer.lr=0.002"


class Entry(NamedTuple):
    """A line of the table: overrides of the train stage, and its columns, each a dataset and a number of rows."""

    overrides: str
    columns: tuple[str, ...]


GROUPS: dict[str, list[Entry]] = {
    "text": [
        Entry("model=tfidf", TEXTS),
        Entry("model=fcnn", TEXTS[:2]),
        Entry("model=lstm", TEXTS[:2]),
        Entry("model=bilstm", TEXTS[:2]),
        Entry(f"model=gru {BOTH_WAYS}", TEXTS[:2]),
        Entry(f"model=bilstm {LONGER}", TEXTS[:2]),
        Entry(f"model=fcnn {FILE} model.dropout=0.5", TEXTS[:2]),
        Entry(f"model=bilstm {FILE}", TEXTS[:2]),
        Entry(f"model=bilstm {LONGER} {FILE}", TEXTS[:2]),
    ],
    "entities": [
        Entry("model=crfsuite", ENTITIES),
        Entry("model=crfsuite model.c1=0 model.c2=1", ENTITIES),
        Entry("model=crfsuite model.c1=0 model.c2=0.1", ENTITIES[:1]),
        Entry("model=crfsuite model.c1=0.1 model.c2=0.1", ENTITIES),
        Entry("model=bilstm_char_crf", ENTITIES[:1]),
        Entry("model=small_entities", ENTITIES[:1]),
        Entry("model=small_entities trainer.max_epochs=20", ENTITIES[:1]),
        Entry(f"model=small_entities {SMALL_BATCHES}", ENTITIES[:1]),
        Entry(f"model=small_entities {SMALL_BATCHES} {FILE}", ENTITIES[:1]),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.small_data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=list(GROUPS), choices=list(GROUPS), metavar="group")
    parser.add_argument("--match", nargs="+", default=[""], metavar="WORD")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--vectors", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        draws = Draws(Corpora(arguments.folder, Path(work)), arguments.vectors)
        for group in arguments.only:
            entries = [it for it in GROUPS[group] if any(word in it.overrides for word in arguments.match)]
            if arguments.vectors is None:
                entries = [it for it in entries if "FILE" not in it.overrides]
            if not entries:
                continue
            columns = list(dict.fromkeys(column for entry in entries for column in entry.columns))
            print("\n| model and options |", " | ".join(columns), "|\n|---|" + "---|" * len(columns), flush=True)
            try:
                for line in lines(entries, columns, draws, arguments.draws):
                    print(line, flush=True)
            except MissingCorpus as error:
                sys.exit(f"error: {error}")


class Draws:
    """Draws of rows from the training splits of public datasets, prepared.

    Args:
        corpora: the public datasets.
        vectors: a file of word vectors, for the lines that use one.
    """

    def __init__(self, corpora: Corpora, vectors: Path | None) -> None:
        self.corpora, self.vectors = corpora, vectors

    def prepared(self, column: str, draw: int, with_vectors: bool) -> PreparedData:
        """A draw of the rows that a column asks for; raises MissingCorpus if there is no copy of the dataset."""
        name, rows = column.split()
        number = 1 if rows == "all" else draw
        with redirect_stdout(sys.stderr):  # standard output is the table
            return self.corpora.of(
                name, f"{name}_{rows}_{number}", self._drawn(name, rows, number), self.vectors if with_vectors else None
            )

    def _drawn(self, name: str, rows: str, draw: int) -> dict[str, pa.Table]:
        """The rows of each split; those of test are not read."""
        found = self.corpora.tables(name)
        train, validation = found["train"], found.get("validation")
        order = np.random.default_rng(draw).permutation(len(train))
        if validation is None:  # the same rows for every draw and every number of rows
            kept = np.random.default_rng(0).permutation(len(train))
            validation = train.take(kept[:VALIDATION_ROWS])
            order = order[np.isin(order, kept[VALIDATION_ROWS:])]
        drawn = train.take(order if rows == "all" else order[: int(rows)])
        return {"train": drawn, "validation": validation, "test": validation}


def lines(entries: list[Entry], columns: list[str], draws: Draws, count: int) -> Iterator[str]:
    """Train; yield each entry's line as soon as its trainings are done."""
    for entry in entries:
        cells = [cell(results(entry, column, draws, count) if column in entry.columns else []) for column in columns]
        yield f"| {entry.overrides} | {' | '.join(cells)} |"


def results(entry: Entry, column: str, draws: Draws, count: int) -> list[Result]:
    """The results of an entry on each draw; on one, if a baseline would give the same again."""
    if column.endswith(" all") and entry.overrides.split()[0] in BASELINES:
        count = 1
    overrides = entry.overrides.replace("FILE", str(draws.vectors)).split()
    found = []
    for draw in range(1, count + 1):
        data = draws.prepared(column, draw, "FILE" in entry.overrides)
        found.append(trained(data, column.split()[0], [*overrides, f"seed={draw}"]))
    return found


def trained(data: PreparedData, dataset: str, overrides: list[str]) -> Result:
    """Train in a temporary folder; the score of the best epoch on the validation split."""
    parts, options = training(dataset, overrides)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        record = train(data, parts, options, Path(folder))
    score, seconds = record["best_score"], record["training_seconds"]
    print(f"{data.folder.parent.name} {' '.join(overrides)}: {score:.2%}, {seconds:.0f} s", file=sys.stderr, flush=True)
    return Result(score, seconds)


if __name__ == "__main__":
    main()
