"""Texts to try a model on."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from unroll.data.source import Source
from unroll.data.tokenizer import Tokenizer


def sample_texts(raw: Path, source: Source, count: int = 3) -> list[str] | list[list[str]]:
    """The first training texts, or pairs of them; a labeling sentence as its tokens with spaces between.

    Raises:
        ValueError: `raw` holds no downloaded data.
    """
    path = raw / "train.parquet"
    if not path.exists():
        raise ValueError(f"{raw} holds no downloaded data; first: python pipelines/download.py dataset={raw.name}")
    batch = next(pq.ParquetFile(path).iter_batches(100, columns=source.text_columns))
    columns = [[_as_text(value) for value in batch[column].to_pylist()] for column in source.text_columns]
    texts = [list(row) for row in zip(*columns, strict=True) if Tokenizer().tokenize(*row)][:count]
    return texts if source.is_pair else [text for (text,) in texts]


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value) if all(isinstance(token, str) for token in value) else ""
    return value if isinstance(value, str) else ""
