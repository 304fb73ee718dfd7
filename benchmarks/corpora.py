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
        source = self._source(name)
        part = f"{name}_{labels}_{seed}"
        folder = self.work / part / "hub"
        folder.mkdir(parents=True)
        for split, files in ((it, sorted((self.folder / name).rglob(f"{it}-*.parquet"))) for it in SPLITS):
            if not files:
                continue
            rows = pa.concat_tables([pq.read_table(file) for file in files])
            if split != "test":
                rows = rows.take(np.sort(np.random.default_rng(seed).permutation(len(rows))[:labels]))
            pq.write_table(rows, folder / f"{split}.parquet")
        return self._prepare(replace(source, path=str(folder)), part)

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
