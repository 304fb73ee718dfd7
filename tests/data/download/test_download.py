"""Downloads from folders; for those from a Hub see test_hub.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import Source
from unroll.files import CHECKSUMS, read_json, sha256

REVIEWS = {"text": ["so good", "so bad"], "label": [1, 0]}
SPLITS = {"train": REVIEWS, "validation": REVIEWS, "test": {"text": ["fine"], "label": [1]}}
NAMES = ["bad", "good"]
ENTITIES = {"tokens": [["in", "Oslo"]], "ner_tags": [[0, 1]]}

WriteDataset = Callable[..., Path]


def reviews(path: Path | str, **changes: Any) -> Source:
    return Source(
        **{"task": "classification", "path": str(path), "columns": {"text": "text", "label": "label"}, **changes}
    )


def assert_refused(source: Source, output: Path, *parts: str) -> None:
    """The error is one line that contains the parts, and no file is left next to `output`."""
    with pytest.raises(ValueError) as error:
        download(source, output)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert not output.parent.exists() or list(output.parent.iterdir()) == []


@pytest.mark.parametrize("header", [True, False])
def test_a_folder_in_the_hub_s_layout_arrives(tmp_path: Path, write_dataset: WriteDataset, header: bool) -> None:
    """The label names are in README.md or in the parquet files."""
    folder = write_dataset(tmp_path / "hub", SPLITS, {"label": NAMES}, header)
    output = tmp_path / "raw" / "reviews"
    manifest = download(reviews(folder), output)
    assert sorted(file.name for file in output.iterdir()) == [
        "manifest.json",
        "sha256.json",
        "test.parquet",
        "train.parquet",
        "validation.parquet",
    ]
    assert pq.read_table(output / "train.parquet").to_pydict() == REVIEWS
    assert read_json(output / "manifest.json") == manifest
    assert manifest["label_names"] == NAMES
    assert manifest["commit"] is None
    assert manifest["splits"] == {
        split: {"rows": len(SPLITS[split]["text"]), "sha256": sha256(output / f"{split}.parquet")} for split in SPLITS
    }


@pytest.mark.parametrize("header", [True, False])
def test_label_names_of_tags_are_recorded(tmp_path: Path, write_dataset: WriteDataset, header: bool) -> None:
    tags = ["O", "B-LOC", "I-LOC"]
    folder = write_dataset(tmp_path / "hub", dict.fromkeys(SPLITS, ENTITIES), {"ner_tags": tags}, header)
    source = Source("labeling", str(folder), {"tokens": "tokens", "labels": "ner_tags"})
    assert download(source, tmp_path / "raw")["label_names"] == tags


def test_labels_without_names_have_none_recorded(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", SPLITS)
    assert download(reviews(folder), tmp_path / "raw")["label_names"] is None


def test_configured_label_names_come_before_declared_ones(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", SPLITS, {"label": NAMES})
    manifest = download(reviews(folder, label_names=["negative", "positive"]), tmp_path / "raw")
    assert manifest["label_names"] == ["negative", "positive"]


def test_label_names_that_contradict_declared_ones_are_an_error(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", SPLITS, {"label": NAMES})
    source = reviews(folder, label_names=["good", "bad"])
    assert_refused(source, tmp_path / "raw" / "x", "dataset.label_names=['good', 'bad']", "declares the labels ['bad',")
    download(reviews(folder), tmp_path / "raw")
    with pytest.raises(ValueError, match="declares the labels"):
        prepare(source, tmp_path / "raw", tmp_path / "out", PrepareOptions())
    prepare(reviews(folder, label_names=["1", "0"]), tmp_path / "raw", tmp_path / "out", PrepareOptions())
    data = PreparedData(tmp_path / "out")
    assert [data.label_names[i] for i in data.split("train").labels] == ["0", "1"]


def test_a_folder_has_no_revision(tmp_path: Path, write_dataset: WriteDataset) -> None:
    manifest = download(reviews(write_dataset(tmp_path / "hub", SPLITS), revision="a" * 40), tmp_path / "raw")
    assert (manifest["revision"], manifest["commit"]) == (None, None)


def test_values_of_several_types_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n')
    splits = {"train": "train", "validation": None, "test": None}
    source = reviews(tmp_path / "x.jsonl", splits=splits)
    assert_refused(
        source, tmp_path / "raw" / "x", "dataset.columns.label='label'", "has several types; accepted: values of"
    )


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_csv_and_json_lines_are_read(tmp_path: Path, ending: str) -> None:
    content = {"csv": "text,label\nso good,pos\n", "jsonl": '{"text": "so good", "label": "pos"}\n'}[ending]
    (tmp_path / "hub").mkdir()
    for split in SPLITS:
        (tmp_path / "hub" / f"{split}.{ending}").write_text(content)
    download(reviews(tmp_path / "hub"), tmp_path / "raw")
    rows = pq.read_table(tmp_path / "raw" / "test.parquet").to_pylist()
    assert rows == [{"text": "so good", "label": "pos"}]


def test_arrow_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    table = pa.table({"text": ["so good"], "label": [True]})
    for split in SPLITS:
        with (
            pa.OSFile(str(tmp_path / "hub" / f"{split}.arrow"), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as f,
        ):
            f.write_table(table)
    download(reviews(tmp_path / "hub"), tmp_path / "raw")
    assert pq.read_table(tmp_path / "raw" / "test.parquet").to_pylist() == [{"text": "so good", "label": True}]


def test_splits_may_have_other_names_and_validation_may_be_missing(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", {"train": REVIEWS, "validation": SPLITS["test"]})
    splits = {"train": "train", "validation": None, "test": "validation"}
    manifest = download(reviews(folder, splits=splits), tmp_path / "raw")
    assert {split: facts["rows"] for split, facts in manifest["splits"].items()} == {"train": 2, "test": 1}


def test_a_configuration_is_chosen_by_name(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", {f"{kind}_{split}": SPLITS[split] for kind in "ab" for split in SPLITS})
    configs = "".join(
        f"- config_name: {kind}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: data/{kind}_{split}-*\n" for split in chosen)
        for kind, chosen in {"a": SPLITS, "b": ["train"]}.items()
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    assert download(reviews(folder, name="a"), tmp_path / "raw" / "x")["name"] == "a"
    assert_refused(reviews(folder, name="b"), tmp_path / "b" / "x", "dataset.splits.validation='validation'")
    assert_refused(reviews(folder, name="c"), tmp_path / "c" / "x", "configuration 'c'", "['a', 'b']")
    assert_refused(reviews(folder), tmp_path / "none" / "x", str(folder), "['a', 'b']")


def test_a_new_download_replaces_the_old_one(tmp_path: Path, write_dataset: WriteDataset) -> None:
    output = tmp_path / "raw"
    download(reviews(write_dataset(tmp_path / "three", SPLITS)), output)
    two = write_dataset(tmp_path / "two", {"train": REVIEWS, "test": REVIEWS})
    download(reviews(two, splits={"train": "train", "validation": None, "test": "test"}), output)
    assert {file.name for file in output.iterdir()} == {"manifest.json", CHECKSUMS, "test.parquet", "train.parquet"}


def test_a_failing_download_keeps_the_old_one(tmp_path: Path, write_dataset: WriteDataset) -> None:
    output = tmp_path / "raw"
    manifest = download(reviews(write_dataset(tmp_path / "three", SPLITS)), output)
    with pytest.raises(ValueError):
        download(reviews(write_dataset(tmp_path / "two", {"train": REVIEWS, "test": REVIEWS})), output)
    assert read_json(output / "manifest.json") == manifest


def test_a_missing_split_is_named_with_those_there_are(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", {"train": REVIEWS, "test": REVIEWS})
    assert_refused(
        reviews(folder),
        tmp_path / "raw" / "x",
        "dataset.splits.validation='validation'",
        str(folder),
        "['test', 'train']",
        "dataset.splits.validation=null",
    )
    splits = {"train": "train", "validation": None, "test": "dev"}
    assert_refused(reviews(folder, splits=splits), tmp_path / "raw" / "x", "dataset.splits.test='dev'")


@pytest.mark.parametrize("column", ["text", "label"])
def test_a_missing_column_is_named_with_those_there_are(
    tmp_path: Path, write_dataset: WriteDataset, column: str
) -> None:
    folder = write_dataset(tmp_path / "hub", SPLITS)
    source = reviews(folder, columns={"text": "text", "label": "label", column: "stars"})
    said = (f"dataset.columns.{column}='stars'", str(folder), "['text', 'label']")
    assert_refused(source, tmp_path / "raw" / "x", *said)


def test_a_folder_without_data_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    assert_refused(reviews(tmp_path / "hub"), tmp_path / "raw" / "x", str(tmp_path / "hub"), "data files", "parquet")


@pytest.mark.parametrize("path", ["/no/such/folder", "./nowhere/here", "~/reviews", "a/b/c", "reviews"])
def test_a_path_that_is_neither_a_folder_nor_a_repository_is_named(tmp_path: Path, path: str) -> None:
    assert_refused(reviews(path), tmp_path / "raw" / "x", f"dataset.path={path!r}", "'owner/name'")


def test_files_of_other_columns_than_declared_are_named(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", SPLITS, header=True)
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace("name: text", "name: sentence"))
    assert_refused(reviews(folder), tmp_path / "raw" / "x", str(folder), "column names don't match")


def test_a_broken_file_is_an_error(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", SPLITS)
    (folder / "data" / "test-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    assert_refused(reviews(folder), tmp_path / "raw" / "x", str(folder), "Parquet")


def test_another_number_of_rows_than_declared_is_an_error(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", SPLITS, header=True)
    readme = folder / "README.md"
    declared = "".join(
        f"  - name: {split}\n    num_bytes: 1\n    num_examples: {rows}\n"
        for split, rows in {"train": 7, "validation": 2, "test": 1}.items()
    )
    readme.write_text(readme.read_text().replace("dataset_info:\n", f"dataset_info:\n  splits:\n{declared}"))
    assert_refused(reviews(folder), tmp_path / "raw" / "x", str(folder), "num_examples=7", "num_examples=2")


def test_a_readme_that_is_no_yaml_is_an_error(tmp_path: Path, write_dataset: WriteDataset) -> None:
    folder = write_dataset(tmp_path / "hub", SPLITS)
    (folder / "README.md").write_text("---\nconfigs: [\n---\n")
    assert_refused(reviews(folder), tmp_path / "raw" / "x", str(folder), "configs: [")
