"""Data to measure on, taken through the package's own first two stages."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.shipped import configuration
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import SPLITS, Source


class MissingCorpus(ValueError):
    """A public dataset that is not in the folder given."""


class Corpora:
    """Prepared datasets.

    Args:
        folder: with a copy of each public dataset in the Hub's layout.
        work: where the prepared ones go.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self.work = work

    def public(self, name: str, vectors: Path | None = None) -> PreparedData:
        """The words of `vectors` join the vocabulary, where given. Raises MissingCorpus where there is no copy."""
        if not (self.folder / name).is_dir():
            raise MissingCorpus(f"no folder {self.folder / name}; accepted: a copy in the Hub's layout")
        source = Source(**configuration("dataset", name) | {"path": str(self.folder / name)})
        return self._prepare(source, name, vectors)

    def made_up(self, sentences: int, length: int, words: int) -> PreparedData:
        """For labeling: sentences of `length` tokens drawn from `words` words."""
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

    def _prepare(self, source: Source, name: str, vectors: Path | None = None) -> PreparedData:
        raw = self.work / name / "raw"
        output = self.work / name / ("prepared" if vectors is None else "prepared_with_vectors")
        if not raw.exists():
            download(source, raw)
        if not output.exists():
            prepare(source, raw, output, PrepareOptions(vectors=str(vectors) if vectors else None))
        return PreparedData(output)
