"""Fixtures and settings of all tests."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.tiny import prepare_tiny
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task

PROJECT = Path(__file__).resolve().parents[1]

# The processes of tests run the code of this checkout too, whichever is installed.
SOURCE = str(PROJECT / "src")
others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", SOURCE)]
os.environ["PYTHONPATH"] = os.pathsep.join([SOURCE, *others])

# Read when the libraries are imported. The stores of those who run the tests are not for tests.
for setting in [name for name in os.environ if name.startswith("MLFLOW_")]:
    del os.environ[setting]
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Images of containers often forbid Python to keep what it compiles. Every command that a test starts would then compile
# the package again, which takes longer than most commands.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell starts background commands with Ctrl-C ignored, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine must not fail a test, and a change must not fail by chance. New inputs are searched for with
# `pytest --hypothesis-profile=search`.
settings.register_profile("unroll", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("unroll")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes and long texts by their argument: bytes of a compressed file contain the time, which would differ."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 200) else None


MODULES: list[str] = []  # the path of modules, when all tests are imported


def pytest_collection_finish() -> None:
    """Leave all that is imported out of garbage collections, which otherwise take up to half a second each."""
    gc.collect()
    gc.freeze()
    MODULES[:] = sys.path


@pytest.fixture(autouse=True)
def process_state() -> Iterator[None]:
    """Restore what the processes of later tests inherit: the handlers of signals, and the path of modules.

    A signal that is ignored is ignored by them too. MLflow puts the code of each model that it loads before the path.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.path[:] = MODULES


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """Public datasets in the Hub's layout, if there are copies next to the checkout."""
    folder = PROJECT.parent / "shared" / "datasets"
    if not folder.is_dir():
        pytest.skip("no public datasets in ../shared/datasets, beside the checkout")
    return folder


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A tiny prepared dataset of classification."""
    return prepare_tiny("classification", tmp_path_factory.mktemp("reviews"))


@pytest.fixture(scope="session")
def entities(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A tiny prepared dataset of labeling."""
    return prepare_tiny("labeling", tmp_path_factory.mktemp("entities"))


@pytest.fixture(scope="session")
def topics(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A tiny prepared dataset of multilabel."""
    return prepare_tiny("multilabel", tmp_path_factory.mktemp("topics"))


@pytest.fixture(scope="session")
def tags(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A tiny prepared dataset of plain tags."""
    return prepare_tiny("tagging", tmp_path_factory.mktemp("tags"))


@pytest.fixture(scope="session")
def prepared(reviews: PreparedData, entities: PreparedData, topics: PreparedData) -> dict[Task, PreparedData]:
    """All three, by their task."""
    return {"classification": reviews, "labeling": entities, "multilabel": topics}


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., Path]:
    """A function that writes a small dataset in the Hub's layout."""
    return _write_dataset


def _write_dataset(
    folder: Path,
    splits: dict[str, dict[str, list[Any]]],
    class_names: dict[str, list[str]] | None = None,
    header: bool = False,
) -> Path:
    """Write `folder`/data/SPLIT-00000-of-00001.parquet for every split, and return `folder`.

    Args:
        splits: split name to column name to values.
        class_names: column name to label names; such a column is of numbers, or of lists of numbers.
        header: declare the features in README.md, over plain parquet files, instead of in the files' own metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import yaml
    from datasets import ClassLabel, Dataset, List

    (folder / "data").mkdir(parents=True)
    for split, columns in splits.items():
        features = Dataset.from_dict(columns).features
        for column, names in (class_names or {}).items():
            is_list = isinstance(features[column], List)
            features[column] = List(ClassLabel(names=names)) if is_list else ClassLabel(names=names)
        file = folder / "data" / f"{split}-00000-of-00001.parquet"
        if header:
            pq.write_table(pa.table(columns), file)
        else:
            Dataset.from_dict(columns, features=features).to_parquet(file)
    if header:
        declared = yaml.safe_dump({"dataset_info": {"features": features._to_yaml_list()}})
        (folder / "README.md").write_text(f"---\n{declared}---\n")
    return folder
