"""Datasets for the benchmarks, downloaded and prepared by the package's first two stages."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.shipped import configuration
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import SPLITS, Source


class MissingCorpus(ValueError):
    """The given folder does not contain a public dataset."""


class Corpora:
    """Prepared datasets.

    Args:
        folder: contains a copy of each public dataset in the Hub's layout.
        work: the folder for prepared datasets.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self.work = work

    def public(self, name: str, vectors: Path | None = None) -> PreparedData:
        """A public dataset, prepared.

        Args:
            name: a choice of conf/dataset.
            vectors: a file of word vectors, whose words are added to the vocabulary.

        Raises:
            MissingCorpus: there is no copy of the dataset.
        """
        return self._prepare(self._source(name), name, vectors)

    def part(self, name: str, labels: int, seed: int) -> PreparedData:
        """A public dataset with `labels` rows of train and at most as many of validation, drawn by seed; test is whole.

        Raises:
            MissingCorpus: there is no copy of the dataset.
        """
        splits = self.tables(name)
        for split in splits.keys() - {"test"}:
            rows = splits[split]
            splits[split] = rows.take(np.sort(np.random.default_rng(seed).permutation(len(rows))[:labels]))
        return self.of(name, f"{name}_{labels}_{seed}", splits)

    def tables(self, name: str) -> dict[str, pa.Table]:
        """The rows of each split that a public dataset has; raises MissingCorpus if there is no copy."""
        self._source(name)
        found = {split: sorted((self.folder / name).rglob(f"{split}-*.parquet")) for split in SPLITS}
        return {split: pa.concat_tables(map(pq.read_table, files)) for split, files in found.items() if files}

    def of(self, name: str, part: str, splits: dict[str, pa.Table], vectors: Path | None = None) -> PreparedData:
        """A dataset that is declared as a public one but has these rows, prepared; `part` is its name."""
        folder = self.work / part / "hub"
        folder.mkdir(parents=True, exist_ok=True)
        for split, rows in splits.items():
            pq.write_table(rows, folder / f"{split}.parquet")
        there = {split: split if split in splits else None for split in SPLITS}
        return self._prepare(replace(self._source(name), path=str(folder), splits=there), part, vectors)

    def made_up(self, sentences: int, length: int, words: int) -> PreparedData:
        """A labeling dataset of random sentences, each `length` tokens drawn from `words` words."""
        draw = random.Random(1)
        vocabulary = [f"w{number}" for number in range(words)]
        rows = [
            {"tokens": draw.choices(vocabulary, k=length), "labels": draw.choices(["O", "B-X"], k=length)}
            for _ in range(sentences)
        ]
        folder = self.work / "made_up" / "hub"
        folder.mkdir(parents=True)
        for split in SPLITS:
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
        columns = {"tokens": "tokens", "labels": "labels"}
        return self._prepare(Source("labeling", str(folder), columns), "made_up")

    def _source(self, name: str) -> Source:
        if not (self.folder / name).is_dir():
            raise MissingCorpus(f"no folder {self.folder / name}; accepted: a copy in the Hub's layout")
        return Source(**configuration("dataset", name) | {"path": str(self.folder / name)})

    def _prepare(self, source: Source, name: str, vectors: Path | None = None) -> PreparedData:
        raw = self.work / name / "raw"
        output = self.work / name / ("prepared" if vectors is None else "prepared_with_vectors")
        if not raw.exists():
            download(source, raw)
        if not output.exists():
            prepare(source, raw, output, PrepareOptions(vectors=str(vectors) if vectors else None))
        return PreparedData(output)
