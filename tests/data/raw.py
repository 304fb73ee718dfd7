"""Raw folders, as the download stage leaves them, of a few rows."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.prepare import PrepareOptions
from unroll.data.prepared import PreparedData
from unroll.data.source import SPLITS, Source
from unroll.files import write_json

REVIEWS = Source("classification", "acme/reviews", {"text": "text", "label": "label"})
ENTITIES = Source("labeling", "acme/news", {"tokens": "tokens", "labels": "tags"})
NAMES = ["bad", "good"]
TAGS = ["O", "B-LOC", "I-LOC"]
OPTIONS = PrepareOptions()
LENIENT = PrepareOptions(max_bad_share=0.5)

Columns = dict[str, list[Any]]


def write_raw(folder: Path, splits: dict[str, Columns], label_names: list[str] | None) -> Path:
    """A folder as the download stage leaves it."""
    folder.mkdir(parents=True)
    for split, columns in splits.items():
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
    write_json(
        folder / "manifest.json",
        {
            "path": "acme/reviews",
            "name": None,
            "revision": "main",
            "commit": "a" * 40,
            "label_names": label_names,
            "splits": {split: {} for split in splits},
        },
    )
    return folder


def texts(*values: str | None, labels: list[Any] | None = None) -> Columns:
    return {"text": list(values), "label": labels or [i % 2 for i in range(len(values))]}


def raw_reviews(folder: Path, **splits: Columns) -> Path:
    """Reviews whose splits are those given, or two texts."""
    defaults = {split: texts(f"fine {split}", "bad one") for split in SPLITS}
    return write_raw(folder, defaults | splits, NAMES)


def raw_train_and_test(folder: Path, size: int = 40) -> Path:
    """Reviews without a validation split; one in four is good."""
    train = texts(*(f"review {i}" for i in range(size)), labels=[int(i % 4 == 0) for i in range(size)])
    return write_raw(folder, {"train": train, "test": texts("a test", "too")}, NAMES)


def words_of(data: PreparedData, split: str) -> list[list[str]]:
    """The words of each sequence, read back through the vocabulary."""
    encoded = data.split(split)
    words = [data.vocabulary[i] for i in data.table.words[encoded.tokens]]
    return [words[a:b] for a, b in zip(encoded.offsets, encoded.offsets[1:], strict=False)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
