"""Trained models, and rows to predict for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.corpora import Corpora
from unroll.api import build_model, prepare, train
from unroll.data.prepared import PreparedData
from unroll.data.tokens import PAIR, TEXT, TOKENS
from unroll.inference.exporting.export import export

EPOCHS = 3  # after which predictions vary
DEMO = Path(__file__).resolve().parents[2] / "data" / "demo"


@dataclass(frozen=True)
class Case:
    """A model and rows.

    Args:
        name: of the task, and of the form of the rows.
        trained: the model folder with the weights.
        exported: that with the ONNX model.
        columns: the rows by column, with the names that all ways look for.
        work: a folder for files.
    """

    name: str
    trained: Path
    exported: Path
    columns: dict[str, list[Any]]
    work: Path

    @property
    def rows(self) -> list[Any]:
        """What `Predictor.predict` reads: texts, pairs of texts, or lists of tokens."""
        first, *others = self.columns.values()
        return list(zip(first, *others, strict=True)) if others else first


def cases(folder: Path | None, count: int, names: list[str], work: Path) -> Iterator[Case]:
    """Train a model of each kind for EPOCHS, and read `count` rows of the test split.

    Args:
        folder: with copies of rotten_tomatoes and conll2003 in the Hub's layout; by default the demo datasets are used.
        names: of CASES.
        work: an empty folder.
    """
    corpora = Corpora(folder or DEMO, work)
    for name in names:
        yield CASES[name](corpora, "demo" if folder is None else "public", count)


def _reviews(corpora: Corpora, kind: str, count: int) -> Case:
    name = {"demo": "demo_reviews", "public": "rotten_tomatoes"}[kind]
    data = corpora.public(name)
    texts = pq.read_table(corpora.work / name / "raw" / "test.parquet")["text"].to_pylist()
    return _trained(f"classification, {name}", "bilstm", data, {TEXT: texts[:count]})


def _pairs(corpora: Corpora, kind: str, count: int) -> Case:
    """There is no dataset of pairs: two reviews of a split, and whether they have the same label."""
    name = {"demo": "demo_reviews", "public": "rotten_tomatoes"}[kind]
    corpora.public(name)
    made = corpora.work / "pairs" / "hub"
    made.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        rows = pq.read_table(corpora.work / name / "raw" / f"{split}.parquet")
        texts, labels = rows["text"].to_pylist(), rows["label"].to_pylist()
        texts_after, labels_after = texts[7:] + texts[:7], labels[7:] + labels[:7]
        same = ["same" if a == b else "other" for a, b in zip(labels, labels_after, strict=True)]
        pq.write_table(pa.table({TEXT: texts, PAIR: texts_after, "label": same}), made / f"{split}.parquet")
    columns = {TEXT: TEXT, PAIR: PAIR, "label": "label"}
    data = prepare(made, corpora.work / "pairs" / "prepared", columns=columns)
    test = pq.read_table(made / "test.parquet")
    given = {name: test[name].to_pylist()[:count] for name in (TEXT, PAIR)}
    return _trained(f"pairs, made of {name}", "bilstm", data, given)


def _tokens(corpora: Corpora, kind: str, count: int) -> Case:
    name = {"demo": "demo_entities", "public": "conll2003"}[kind]
    data = corpora.public(name)
    tokens = pq.read_table(corpora.work / name / "raw" / "test.parquet")["tokens"].to_pylist()
    return _trained(f"labeling of tokens, {name}", "bilstm_char_crf", data, {TOKENS: tokens[:count]})


def _sentences(corpora: Corpora, kind: str, count: int) -> Case:
    """The tokens of the same sentences joined by spaces, which the tokenizer divides."""
    case = _tokens(corpora, kind, count)
    texts = [" ".join(tokens) for tokens in case.columns[TOKENS]]
    name = case.name.replace("of tokens", "of texts")
    return Case(name, case.trained, case.exported, {TEXT: texts}, case.work)


CASES: dict[str, Callable[[Corpora, str, int], Case]] = {
    "classification": _reviews,
    "pairs": _pairs,
    "tokens": _tokens,
    "sentences": _sentences,
}


def _trained(name: str, model: str, data: PreparedData, columns: dict[str, list[Any]]) -> Case:
    """The case with a model that was trained for EPOCHS; it is trained only once for the same data."""
    folder = data.folder.parent / model
    trained, exported = folder / "1", folder / "onnx"
    if not exported.exists():
        train(build_model(model, data), data, seed=1, output=trained, epochs=EPOCHS)
        export(trained / "model", exported)
    return Case(name, trained / "model", exported, columns, data.folder.parent)
