"""The committed demo corpora are identical to the generated ones, and load as Hub datasets."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from datasets import ClassLabel, DatasetDict, List, Value, load_dataset

from unroll.data.demo import entities, reviews

COMMITTED = Path(__file__).parents[3] / "data" / "demo"
CORPORA = ["demo_entities", "demo_reviews"]


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run([sys.executable, "-m", "unroll.data.demo", str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DatasetDict]:
    cache = str(tmp_path_factory.mktemp("cache"))
    return {name: load_dataset(str(COMMITTED / name), cache_dir=cache) for name in CORPORA}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for name in CORPORA
        for path in (folder / name).rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_is_three_parquet_files_and_a_card(rebuilt, name):
    splits = ["train", "validation", "test"]
    files = {path.relative_to(rebuilt / name).as_posix() for path in (rebuilt / name).rglob("*.*")}
    assert files == {"README.md"} | {f"data/{split}-00000-of-00001.parquet" for split in splits}


def test_committed_files_rebuild_byte_for_byte(rebuilt):
    committed, built = contents(COMMITTED), contents(rebuilt)
    assert committed.keys() == built.keys()
    assert [name for name in built if built[name] != committed[name]] == []


def test_committed_files_stay_small():
    assert sum(map(len, contents(COMMITTED).values())) < 1_500_000


def test_reviews_load_with_label_names(loaded):
    features = loaded["demo_reviews"]["test"].features
    assert features == {"text": Value("string"), "label": ClassLabel(names=["negative", "positive"])}


def test_entities_load_with_tag_names(loaded):
    features = loaded["demo_entities"]["test"].features
    tags = List(ClassLabel(names=entities.TAG_NAMES))
    assert features == {"tokens": List(Value("string")), "ner_tags": tags}


@pytest.mark.parametrize(("name", "generator"), [("demo_reviews", reviews), ("demo_entities", entities)])
def test_loaded_rows_are_the_generated_ones(loaded, name, generator):
    assert {split: rows.to_list() for split, rows in loaded[name].items()} == generator.generate()


@pytest.mark.parametrize("name", CORPORA)
def test_the_card_declares_the_rows_of_every_split(loaded, name):
    front_matter = (COMMITTED / name / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    declared = yaml.safe_load(front_matter)["dataset_info"]["splits"]
    assert {split["name"]: split["num_examples"] for split in declared} == loaded[name].num_rows
