"""Small raw folders as written by the download stage."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.prepare.labels import Labels
from unroll.data.prepare.prepare import PrepareOptions
from unroll.data.prepare.rows import RowReader, read_split
from unroll.data.prepare.split_rows import Corpus, SplitRows
from unroll.data.prepared import PreparedData
from unroll.data.source import SPLITS, Source
from unroll.data.tokenizer import Tokenizer
from unroll.files import write_json

REVIEWS = Source("classification", "acme/reviews", {"text": "text", "label": "label"})
ENTITIES = Source("labeling", "acme/news", {"tokens": "tokens", "labels": "tags"})
NAMES = ["bad", "good"]
TAGS = ["O", "B-LOC", "I-LOC"]
OPTIONS = PrepareOptions()
LENIENT = PrepareOptions(max_bad_share=0.5)

Columns = dict[str, list[Any]]


def write_raw(folder: Path, splits: dict[str, Columns], label_names: list[str] | None) -> Path:
    """Write a folder like the download stage."""
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
    """Reviews with the given splits; other splits have two texts."""
    defaults = {split: texts(f"fine {split}", "bad one") for split in SPLITS}
    return write_raw(folder, defaults | splits, NAMES)


def raw_train_and_test(folder: Path, size: int = 40) -> Path:
    """Reviews without a validation split; one in four is good."""
    train = texts(*(f"review {i}" for i in range(size)), labels=[int(i % 4 == 0) for i in range(size)])
    return write_raw(folder, {"train": train, "test": texts("a test", "too")}, NAMES)


def words_of(data: PreparedData, split: str) -> list[list[str]]:
    """The words of each sequence, looked up in the vocabulary."""
    encoded = data.split(split)
    words = [data.schema.vocabulary[i] for i in data.table.words[encoded.tokens]]
    return [words[a:b] for a, b in pairwise(encoded.offsets)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def read_rows(path: Path, source: Source, labels: Labels) -> SplitRows:
    return read_split(path, RowReader(source, labels, Tokenizer()), Corpus())


def rows_of(
    sequences: list[list[int]], labels: list[int] | None = None, tags: list[list[int]] | None = None
) -> SplitRows:
    """Rows of token ids, with one label per row or with tags."""
    corpus = Corpus()
    corpus.tokens.append(np.array([token for sequence in sequences for token in sequence], np.int64))
    corpus.tags.append(np.array([tag for sequence in tags or [] for tag in sequence], np.int64))
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    found = None if tags is not None else np.array(labels or [0] * len(sequences))
    return SplitRows(corpus, np.cumsum(lengths) - lengths, lengths, found, np.arange(len(sequences)))


def tokens_of(rows: SplitRows) -> list[list[int]]:
    return [tokens.tolist() for block in rows.blocks() for tokens in block]


def tags_of(rows: SplitRows) -> list[list[int]]:
    return [tags.tolist() for block in rows.tag_blocks() for tags in block]
