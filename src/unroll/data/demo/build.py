"""Write the demo corpora as dataset folders in the layout of the Hugging Face Hub."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from unroll.data.demo import cards, entities, reviews

Splits = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Corpus:
    """A demo corpus: its rows, and what its folder declares about them."""

    name: str
    title: str
    task_category: str
    generate: Callable[[], Splits]
    count_tokens: Callable[[Mapping[str, Any]], int]
    schema: pa.Schema
    features: list[dict[str, Any]]  # as in the front matter of a Hub dataset card
    columns: Mapping[str, str]
    card: str


def _class_label(names: Sequence[str]) -> dict[str, Any]:
    return {"class_label": {"names": {str(i): name for i, name in enumerate(names)}}}


CORPORA = [
    Corpus(
        name="demo_reviews",
        title="Demo reviews",
        task_category="text-classification",
        generate=reviews.generate,
        count_tokens=lambda row: reviews.count_tokens(row["text"]),
        schema=pa.schema({"text": pa.string(), "label": pa.int64()}),
        features=[
            {"name": "text", "dtype": "string"},
            {"name": "label", "dtype": _class_label(reviews.LABEL_NAMES)},
        ],
        columns={"text": "the review", "label": "0 `negative`, 1 `positive`; as many of one as of the other"},
        card=cards.REVIEWS,
    ),
    Corpus(
        name="demo_entities",
        title="Demo entities",
        task_category="token-classification",
        generate=entities.generate,
        count_tokens=lambda row: len(row["tokens"]),
        schema=pa.schema({"tokens": pa.list_(pa.string()), "ner_tags": pa.list_(pa.int64())}),
        features=[
            {"name": "tokens", "sequence": "string"},
            {"name": "ner_tags", "sequence": _class_label(entities.TAG_NAMES)},
        ],
        columns={"tokens": "the words of the sentence", "ner_tags": "one IOB2 tag for each token"},
        card=cards.ENTITIES,
    ),
]


def build(folder: Path) -> None:
    """Write every corpus below `folder`; the same code and the same pyarrow write the same bytes."""
    for corpus in CORPORA:
        splits = corpus.generate()
        tables = {split: pa.Table.from_pylist(list(rows), schema=corpus.schema) for split, rows in splits.items()}
        data = folder / corpus.name / "data"
        data.mkdir(parents=True, exist_ok=True)
        for split, table in tables.items():
            _write_parquet(table, data / f"{split}-00000-of-00001.parquet")
        readme = f"---\n{_front_matter(corpus, tables)}---\n\n{_body(corpus, splits)}"
        (folder / corpus.name / "README.md").write_text(readme, encoding="utf-8", newline="\n")


def _write_parquet(table: pa.Table, path: Path) -> None:
    """Write one file; what decides its bytes is given, so that a new default cannot change them."""
    pq.write_table(
        table,
        path,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=9,
        row_group_size=table.num_rows,
    )


def _front_matter(corpus: Corpus, tables: Mapping[str, pa.Table]) -> str:
    return yaml.safe_dump(
        {
            "pretty_name": corpus.title,
            "language": ["en"],
            "license": "mit",
            "task_categories": [corpus.task_category],
            "size_categories": ["1K<n<10K"],
            "dataset_info": {
                "features": corpus.features,
                "splits": [
                    {"name": split, "num_bytes": table.nbytes, "num_examples": table.num_rows}
                    for split, table in tables.items()
                ],
            },
            "configs": [
                {
                    "config_name": "default",
                    "data_files": [{"split": split, "path": f"data/{split}-*"} for split in tables],
                }
            ],
        },
        sort_keys=False,
    )


def _body(corpus: Corpus, splits: Splits) -> str:
    columns = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in corpus.columns.items())
    counts = "\n".join(
        f"| {split} | {len(rows):,} | {sum(map(corpus.count_tokens, rows)):,} |" for split, rows in splits.items()
    )
    return f"""\
# {corpus.title}

{corpus.card}

| column | |
|---|---|
{columns}

| split | rows | tokens |
|---|---|---|
{counts}

A seeded grammar wrote every row: nothing in it was collected or copied.
`python -m unroll.data.demo` writes the same files again, byte for byte. MIT licence.
"""
