"""Speed of predictions from text, with a network in ONNX and in PyTorch: CPU time on one thread, in a Markdown table.

    python -m benchmarks.inference [FOLDER]

One sentence of 20 tokens (the median of many), and many texts: those of the demo datasets, or of imdb and conll2003 if
FOLDER has copies of them in the Hub's layout. Networks have the sizes of conf/model and initial weights, which do not
change the speed. Besides, the CPU time in which a new process loads a model and answers the first text.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from benchmarks.corpora import Corpora
from benchmarks.shipped import configuration, model
from benchmarks.table import HEADER, line, machine
from benchmarks.timing import Row, Run, alternate
from unroll.data.prepared import PreparedData
from unroll.data.tokens import TOKEN_TASKS
from unroll.inference.exporting.export import export
from unroll.inference.predictor import Predictor
from unroll.inference.trained_model import TrainedModel

DEMO = Path(__file__).resolve().parent.parent / "data" / "demo"
TEXTS = 2000  # at most, of a test split
WORDS = 20
COLD = """import sys, time; from pathlib import Path; from unroll.inference.predictor import Predictor
Predictor.load(Path(sys.argv[1])).predict([sys.argv[2]]); print(time.process_time())"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("unroll").setLevel(logging.ERROR)  # a sentence is given to models of given tokens
    print(", ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n")
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as work:
        for row in rows(arguments.folder, Path(work)):
            print(line(row), flush=True)


def rows(folder: Path | None, work: Path) -> Iterator[Row]:
    """All measurements; `work` is an empty folder."""
    demo = Corpora(DEMO, work)
    entities = demo.public("demo_entities")
    sentence = " ".join([word for text in texts(entities) for word in text][:WORDS])
    for name in ("bilstm", "bilstm_char_crf"):
        yield one_sentence(name, Pair(name, entities, work), sentence)
    corpora = Corpora(folder, work) if folder else demo
    sentences, reviews = ("conll2003", "imdb") if folder else ("demo_entities", "demo_reviews")
    for name, dataset in (("bilstm_char_crf", sentences), ("gru", reviews)):
        data = corpora.public(dataset)
        yield many(f"{name}, {dataset}", Pair(name, data, work), texts(data))
    yield first_answer(Pair("bilstm", entities, work), sentence)


class Pair:
    """A model in PyTorch and in ONNX, in folders and loaded."""

    def __init__(self, name: str, data: PreparedData, work: Path) -> None:
        self.data = data
        folder = work / "models" / data.folder.parent.name / name
        self.torch_folder, self.onnx_folder = folder / "torch", folder / "onnx"
        torch.manual_seed(1)
        TrainedModel(model(name, data), data.schema, configuration("model", name)).save(self.torch_folder)
        export(self.torch_folder, self.onnx_folder)
        self.torch, self.onnx = (Predictor.load(it) for it in (self.torch_folder, self.onnx_folder))


def texts(data: PreparedData) -> list[Any]:
    """Up to TEXTS texts of the test split, as they were downloaded: strings or lists of tokens."""
    table = pq.read_table(data.folder.parent / "raw" / "test.parquet").slice(0, TEXTS)
    column: list[Any] = table["tokens" if data.task in TOKEN_TASKS else "text"].to_pylist()
    return column


def one_sentence(name: str, pair: Pair, sentence: str) -> Row:
    """Milliseconds for one sentence; one after the other, since each empties the processor's caches for the other."""
    ((ours,), repeats), ((theirs,), _) = (alternate(cpu_time(it, [sentence])) for it in (pair.onnx, pair.torch))
    return Row(f"{name}, one sentence", ours * 1e3, "ms", "PyTorch", theirs * 1e3, theirs / ours, repeats)


def many(name: str, pair: Pair, given: list[Any]) -> Row:
    """Texts, or tokens, per second."""
    unit, count = "texts/s", len(given)
    if pair.data.task in TOKEN_TASKS:
        unit, count = "tokens/s", sum(map(len, given))
    (ours, theirs), repeats = alternate(cpu_time(pair.onnx, given), cpu_time(pair.torch, given))
    return Row(name, count / ours, unit, "PyTorch", count / theirs, theirs / ours, repeats)


def first_answer(pair: Pair, sentence: str) -> Row:
    """Seconds of CPU time from the start of the process."""
    (ours, theirs), repeats = alternate(*(cold(it, sentence) for it in (pair.onnx_folder, pair.torch_folder)))
    return Row("bilstm, first answer of a process", ours, "s", "PyTorch", theirs, theirs / ours, repeats)


def cpu_time(predictor: Predictor, given: list[Any]) -> Run:
    """A run that predicts the labels of the texts; returns the seconds of CPU time."""

    def run() -> float:
        start = time.process_time()
        predictor.predict(given)
        return time.process_time() - start

    return run


def cold(folder: Path, sentence: str) -> Run:
    """A run that loads the model in a new process and predicts; returns the seconds of CPU time."""

    def run() -> float:
        command = [sys.executable, "-c", COLD, str(folder), sentence]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])

    return run


if __name__ == "__main__":
    main()
