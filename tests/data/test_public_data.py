"""Public datasets under their real names, served by a local Hub; DVC gets only `HF_ENDPOINT`."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.loopback_hub import NEW, Hub
from tests.pipeline.conftest import copy_project
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.source import SPLITS
from unroll.data.tags import spans
from unroll.files import read_json

pytestmark = pytest.mark.xdist_group("public")  # one process: the data are prepared once

NAMES = {"classification": ["rotten_tomatoes", "imdb"], "labeling": ["conll2003"]}
SIZES = {
    "rotten_tomatoes": {"train": 8530, "validation": 1066, "test": 1066},
    "imdb": {"train": 25000, "test": 25000},
    "conll2003": {"train": 14041, "validation": 3250, "test": 3453},
}
ENTITIES = {"train": 23499, "validation": 5942, "test": 5648}


@pytest.fixture(scope="module")
def prepared(shared_datasets: Path, project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedData]:
    """The three datasets after `dvc repro` of the download and prepare stages."""
    copy = copy_project(tmp_path_factory.mktemp("project"), short=False)
    plan = yaml.safe_load((copy.root / "params.yaml").read_text())
    repositories: dict[str, dict[str, Path]] = {}
    for task, names in NAMES.items():
        plan[task]["datasets"] = names
        for name in names:
            declared = yaml.safe_load((project / f"conf/dataset/{name}.yaml").read_text())
            commit = NEW if declared["revision"] == "main" else declared["revision"]
            repositories[declared["path"]] = {commit: shared_datasets / name}
    (copy.root / "params.yaml").write_text(yaml.safe_dump(plan))
    with Hub(repositories).serving() as hub:
        stages = " ".join(f"prepare-{task}" for task in NAMES)
        copy.ok(f"dvc repro {stages}", HF_ENDPOINT=hub.endpoint, HF_HOME=str(copy.root / "cache"))
    return {name: PreparedData(copy.root / "data/prepared" / name) for names in NAMES.values() for name in names}


@pytest.mark.parametrize("name", SIZES)
def test_every_row_is_downloaded_and_used(prepared: dict[str, PreparedData], name: str) -> None:
    data = prepared[name]
    manifest = read_json(data.folder.parents[1] / "raw" / name / "manifest.json")
    assert {split: facts["rows"] for split, facts in manifest["splits"].items()} == SIZES[name]
    assert sum(facts["rows"] for facts in data.description["splits"].values()) == sum(SIZES[name].values())


def test_the_entities_are_those_of_the_task(prepared: dict[str, PreparedData]) -> None:
    data = prepared["conll2003"]
    assert {split: count_entities(data.split(split), data.label_names) for split in SPLITS} == ENTITIES


def test_texts_of_imdb_in_train_and_test_are_counted(prepared: dict[str, PreparedData], shared_datasets: Path) -> None:
    train, test = (
        pq.read_table(shared_datasets / f"imdb/data/{split}-00000-of-00001.parquet")["text"].to_pylist()
        for split in ("train", "test")
    )
    texts_of_train = set(train)
    in_both = sum(text in texts_of_train for text in test)
    counts = prepared["imdb"].description["duplicates"]
    found = counts["tokens"]["train, test"] + counts["tokens"]["validation, test"]
    assert in_both == 123 <= found <= counts["words"]["train, test"] + counts["words"]["validation, test"]


def count_entities(split: EncodedSplit, names: list[str]) -> int:
    return sum(len(spans([names[i] for i in tags])) for tags in split.tags)
