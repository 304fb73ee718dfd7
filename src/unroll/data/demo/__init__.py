"""Writes the demo corpora as dataset folders with the layout of the Hugging Face Hub."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.data.demo import entities, reviews
from unroll.files import whole_file, write_text
from unroll.pages.page import render


def build(folder: Path) -> None:
    """Write all corpora into `folder`. The files are identical for the same version of pyarrow."""
    texts = reviews.generate()
    tokens = {split: sum(reviews.count_tokens(row["text"]) for row in rows) for split, rows in texts.items()}
    _write(folder / "demo_reviews", texts, tokens, reviews.LABEL_NAMES, "reviews.md.j2")
    sentences = entities.generate()
    tokens = {split: sum(len(row["tokens"]) for row in rows) for split, rows in sentences.items()}
    _write(folder / "demo_entities", sentences, tokens, entities.TAG_NAMES, "entities.md.j2")


def _write(
    folder: Path, splits: dict[str, list[dict]], tokens: dict[str, int], label_names: list[str], card: str
) -> None:
    tables = {split: pa.Table.from_pylist(rows) for split, rows in splits.items()}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, table in tables.items():
        with whole_file(folder / "data" / f"{split}-00000-of-00001.parquet") as temporary:
            pq.write_table(
                table,
                temporary,
                version="2.6",  # these options are given so that new defaults do not change the bytes
                data_page_version="1.0",
                compression="zstd",
                compression_level=9,
                row_group_size=table.num_rows,
            )
    readme = render(Path(__file__).with_name(card), tables=tables, tokens=tokens, label_names=label_names)
    write_text(folder / "README.md", readme)
