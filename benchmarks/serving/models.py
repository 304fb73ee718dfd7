"""Exported networks of random weights for every kind of model that the server answers for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.shipped import CONF, REVIEWS, configuration, model, untrained
from unroll.api import prepare
from unroll.data.prepared import PreparedData
from unroll.inference.exporting.export import export
from unroll.inference.trained_model import TrainedModel

ROWS = 400  # of the datasets that are made here
ENTITIES = CONF.parent / "data" / "demo" / "demo_entities"
TAGS = {"tokens": "tokens", "labels": "ner_tags"}


def served(work: Path) -> Path:
    """Save the export of an untrained `bilstm` for demo_reviews in a new folder; return the export's."""
    network = work / "network"
    network.mkdir(parents=True)
    export(untrained(network), work / "exported")
    return work / "exported"


def every_kind(work: Path) -> Iterator[tuple[str, Path]]:
    """The name of each kind, and the folder of a model; `work` is an empty folder."""
    for name, make in KINDS.items():
        folder = work / name
        folder.mkdir()
        data = make(folder)
        network = folder / "network"
        TrainedModel(model("bilstm", data), data.schema, configuration("model", "bilstm")).save(network)
        export(network, folder / "exported")
        yield name, folder / "exported"


def _reviews() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(REVIEWS / "data" / "train-00000-of-00001.parquet").to_pylist()
    return rows[:ROWS]


def _made(folder: Path, rows: list[dict[str, Any]], task: Any = "classification") -> PreparedData:
    """Prepare a table; its columns have the names of their roles."""
    pq.write_table(pa.Table.from_pylist(rows), folder / "table.parquet")
    return prepare(folder / "table.parquet", folder / "prepared", task, {name: name for name in rows[0]})


def _pairs(folder: Path) -> PreparedData:
    """The halves of a review."""
    return _made(folder, [{"text": a, "text_pair": b, "label": label} for a, b, label in map(_halves, _reviews())])


def _halves(row: dict[str, Any]) -> tuple[str, str, str]:
    words = row["text"].split()
    half = len(words) // 2
    return " ".join(words[:half]) or ".", " ".join(words[half:]) or ".", str(row["label"])


def _topics(folder: Path) -> PreparedData:
    """A review has a label for each of two common words."""
    words = ("film", "not")
    rows = [{"text": it["text"], "labels": [word for word in words if word in it["text"]]} for it in _reviews()]
    return _made(folder, rows, "multilabel")


def _words(folder: Path) -> PreparedData:
    return _made(folder, [{"tokens": it["text"].split(), "label": str(it["label"])} for it in _reviews()])


KINDS: dict[str, Callable[[Path], PreparedData]] = {
    "classification": lambda folder: prepare(REVIEWS, folder / "prepared"),
    "pairs": _pairs,
    "given tokens": _words,
    "multilabel": _topics,
    "labeling": lambda folder: prepare(ENTITIES, folder / "prepared", "labeling", TAGS),
    "tagging": lambda folder: prepare(ENTITIES, folder / "prepared", "labeling", TAGS, tag_scheme="none"),
}
