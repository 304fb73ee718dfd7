"""Exported models, a few rows to score, and a function that scores them in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.inference.scoring.here import in_this_process
from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.inference.exporting.export import export
from unroll.inference.predictor import Predictor
from unroll.inference.scoring import engines
from unroll.inference.scoring.job import ScoreOptions
from unroll.inference.scoring.score import Summary, score
from unroll.inference.server.source import FolderSource

Score = Callable[..., Summary]
ROWS = [{"id": i, "text": " ".join(["not", "good", "bad", "very", ""][i % 5 :] * (1 + i % 3))} for i in range(60)]
ROWS[7]["text"], ROWS[8]["text"] = None, " "


def exported_model(data: PreparedData, folder: Path) -> Path:
    export(save_random_model(data, folder / "trained", "gru"), folder / "onnx")
    return folder / "onnx"


@pytest.fixture(scope="session")
def classifier(reviews: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_model(reviews, tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="session")
def tagger(entities: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_model(entities, tmp_path_factory.mktemp("tagger"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A Parquet file with row groups of seven of the ROWS."""
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet", row_group_size=7)
    return tmp_path / "rows.parquet"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, classifier: Path, tmp_path: Path) -> Score:
    """Score in this process, by default with the classifier and in a folder `out`."""
    monkeypatch.setitem(engines.ENGINES, "local", in_this_process)

    def call(*inputs: Path, output: str = "out", model: Path = classifier, **options: Any) -> Summary:
        others = {name: options.pop(name) for name in ("part_bytes", "report") if name in options}
        inputs_ = [str(it) for it in inputs]
        return score(FolderSource(model), inputs_, tmp_path / output, ScoreOptions(**options), Predictor, **others)

    return call


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows of a folder of parts."""
    return [row for part in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
