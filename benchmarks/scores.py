"""Test scores of the shipped models on public datasets: mean and standard deviation over seeds, as a Markdown table.

    python -m benchmarks.scores FOLDER [--only models best baselines] [--match WORD] [--vectors FILE]

FOLDER contains copies of rotten_tomatoes, imdb and conll2003 in the Hub's layout. FILE contains pretrained word vectors
of 50 dimensions; the prepare stage adds its words to the vocabulary. With --match, only lines that contain a WORD are
computed. Each training is that of `python pipelines/train.py dataset=NAME OVERRIDES seed=N`; one per core runs at a
time. The numbers in brackets are the seconds of a training, without evaluation.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from joblib import cpu_count

from benchmarks.corpora import Corpora, MissingCorpus
from benchmarks.shipped import training
from unroll.data.prepared import PreparedData
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.training.train import train

METRICS = {"rotten_tomatoes": "test/accuracy", "imdb": "test/accuracy", "conll2003": "test/f1"}
MODELS = ["fcnn", "elman", "gru", "lstm", "bilstm", "peephole_lstm", "slstm"]
MODELS += ["min_gru", "min_lstm", "sru", "qrnn", "indrnn", "lru"]

WITH_VECTORS = (
    "vectors=FILE model.embedding_size=50 model.dropout=0.3 model.encoder.layer_norm=true "
    "model.characters.filters=100 model.characters.dropout=0.1 batch_size=16 optimizer.lr=0.002"
)
BOTH_WAYS = "model.encoder.bidirectional=true model.pooling=max model.dropout=0.6"


class Entry(NamedTuple):
    """A line of the table: overrides of the train stage, and the datasets to train on."""

    overrides: str
    datasets: tuple[str, ...] = ("rotten_tomatoes", "conll2003")
    seeds: int = 3


class Result(NamedTuple):
    score: float
    seconds: float


GROUPS = {
    "models": [
        *(Entry(f"model={name} trainer.max_epochs=5") for name in MODELS),
        Entry("model=awd_lstm trainer.max_epochs=5", ("rotten_tomatoes",)),
        Entry("model=bilstm_char_crf trainer.max_epochs=5", ("conll2003",)),
    ],
    "best": [
        Entry(f"model=gru trainer.max_epochs=6 {BOTH_WAYS}", ("rotten_tomatoes",), 5),
        Entry("model=bilstm_char_crf trainer.max_epochs=12", ("conll2003",), 5),
        Entry(f"model=bilstm_char_crf trainer.max_epochs=12 {WITH_VECTORS}", ("conll2003",), 5),
    ],
    "baselines": [  # deterministic, so that one seed is enough
        Entry("model=majority", tuple(METRICS), 1),
        Entry("model=tfidf", ("rotten_tomatoes", "imdb"), 1),
        Entry("model=tfidf model.ngram_range=[1,1]", ("rotten_tomatoes", "imdb"), 1),
        Entry("model=crfsuite", ("conll2003",), 1),
        Entry("model=crfsuite model.c1=0 model.c2=1", ("conll2003",), 1),  # CRFsuite's defaults
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scores", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=list(GROUPS), choices=list(GROUPS), metavar="group")
    parser.add_argument("--match", nargs="+", default=[""], metavar="WORD")
    parser.add_argument("--vectors", type=Path)
    arguments = parser.parse_args()
    entries = chosen(arguments.only, arguments.match, arguments.vectors is not None)
    if not entries:
        parser.error(f"--match {' '.join(arguments.match)}: no line contains one of these words")
    with (
        tempfile.TemporaryDirectory() as work,
        ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool,
    ):
        corpora = Corpora(arguments.folder, Path(work))
        try:
            for entry in entries:  # finds a missing dataset before the first training
                prepared(corpora, entry, arguments.vectors)
        except MissingCorpus as error:
            sys.exit(f"error: {error}")
        columns = datasets(entries)
        print("| model and options | seeds |", " | ".join(columns), "|\n|---|---|" + "---|" * len(columns), flush=True)
        for line in lines(entries, corpora, arguments.vectors, pool):
            print(line, flush=True)


def chosen(groups: list[str], words: list[str], with_vectors: bool) -> list[Entry]:
    """The lines of `groups` that contain one of `words`; without vectors, those that need them are skipped."""
    entries = [e for group in groups for e in GROUPS[group] if any(word in e.overrides for word in words)]
    if not with_vectors:
        for entry in entries:
            if "FILE" in entry.overrides:
                print(f"skipped: {entry.overrides}: needs --vectors")
        entries = [entry for entry in entries if "FILE" not in entry.overrides]
    return entries


def datasets(entries: list[Entry]) -> list[str]:
    """The columns of the entries' table."""
    return [name for name in METRICS if any(name in entry.datasets for entry in entries)]


def prepared(corpora: Corpora, entry: Entry, vectors: Path | None) -> dict[str, PreparedData]:
    """The entry's datasets, prepared with the words of `vectors` if the entry uses them."""
    return {name: corpora.public(name, vectors if "FILE" in entry.overrides else None) for name in entry.datasets}


def lines(entries: list[Entry], corpora: Corpora, vectors: Path | None, pool: ProcessPoolExecutor) -> Iterator[str]:
    """Start all trainings; yield each entry's line as soon as its trainings are done."""
    started: list[dict[str, list[Future[Result]]]] = []
    for entry in entries:
        overrides = entry.overrides.replace("FILE", str(vectors)).split()
        started.append(
            {
                name: [
                    pool.submit(trained, data.folder, name, [*overrides, f"seed={seed}"])
                    for seed in range(1, entry.seeds + 1)
                ]
                for name, data in prepared(corpora, entry, vectors).items()
            }
        )
    for entry, futures in zip(entries, started, strict=True):
        cells = [cell([future.result() for future in futures.get(name, [])]) for name in datasets(entries)]
        yield f"| {entry.overrides} | {entry.seeds} | {' | '.join(cells)} |"


def trained(data: Path, dataset: str, overrides: list[str]) -> Result:
    """Train and evaluate in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        return train_and_evaluate(data, dataset, overrides, Path(folder))


def train_and_evaluate(data: Path, dataset: str, overrides: list[str], run: Path) -> Result:
    """Train on prepared data as `python pipelines/train.py dataset=DATASET OVERRIDES`, and evaluate, in the folder."""
    parts, options = training(dataset, overrides)
    with redirect_stdout(io.StringIO()):
        prepared = PreparedData(data)
        seconds = train(prepared, parts, options, run)["training_seconds"]
        score = evaluate(prepared, run, EvaluateOptions(batch_size=64, threads=1))[METRICS[dataset]]
    print(f"{dataset} {' '.join(overrides)}: {score:.2%}, {seconds:.0f} s", file=sys.stderr, flush=True)
    return Result(score, seconds)


def cell(results: list[Result]) -> str:
    """Mean, standard deviation and seconds, or an empty cell."""
    if not results:
        return ""
    scores = [100 * result.score for result in results]
    spread = f" ± {stdev(scores):.2f}" if len(scores) > 1 else ""
    return f"{mean(scores):.2f}{spread} ({mean(result.seconds for result in results):.0f} s)"


if __name__ == "__main__":
    main()
