"""Paths and splits given as files or globs; see also test_user_datasets.py."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from unroll.data.download.download import download
from unroll.data.source import Source

COLUMNS = {"text": "text", "label": "label"}
ALONE: dict[str, str | None] = {"train": "train", "validation": None, "test": None}


def write(path: Path, text: str = "text,label\na,0\nb,1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def source(path: Path | str, **splits: str | None) -> Source:
    return Source("classification", str(path), COLUMNS, splits={**ALONE, **splits})


def rows(folder: Path, split: str) -> list[str]:
    found: list[str] = pq.read_table(folder / f"{split}.parquet")["text"].to_pylist()
    return found


def refused(source: Source, folder: Path, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        download(source, folder / "out")
    assert not (folder / "out").exists()


def test_files_of_a_glob_are_train_in_their_order(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/3"):
        write(tmp_path / "data" / f"{name}.csv", f"text,label\n{name},0\n")
    manifest = download(source(f"{tmp_path}/data/**/*.csv"), tmp_path / "out")
    assert rows(tmp_path / "out", "train") == ["a/3", "b/1", "b/2"]
    assert list(manifest["files"]) == ["a/3.csv", "b/1.csv", "b/2.csv"]
    assert list(manifest["splits"]) == ["train"]


def test_a_single_file_is_train(tmp_path: Path) -> None:
    download(source(write(tmp_path / "all.tsv", "text\tlabel\na, b\t0\n")), tmp_path / "out")
    assert rows(tmp_path / "out", "train") == ["a, b"]


def test_splits_may_name_files_and_globs_of_the_folder(tmp_path: Path) -> None:
    for name in ("x-1.csv", "x-2.csv", "gold/final.csv"):
        write(tmp_path / "data" / name, f"text,label\n{name},0\n")
    download(source(tmp_path / "data", train="x-*.csv", test="gold/final.csv"), tmp_path / "out")
    assert rows(tmp_path / "out", "train") == ["x-1.csv", "x-2.csv"]
    assert rows(tmp_path / "out", "test") == ["gold/final.csv"]


def test_a_glob_without_a_match_is_named(tmp_path: Path) -> None:
    refused(source(f"{tmp_path}/data/*.csv"), tmp_path, r"data/\*\.csv': no file matches")


def test_a_split_that_is_no_file_is_named_with_those_there_are(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.csv")
    said = r"dataset\.splits\.train='b-\*\.csv': .* has no such file; accepted: a\.csv"
    refused(source(tmp_path / "data", train="b-*.csv"), tmp_path, said)


def test_another_split_of_a_single_file_is_refused(tmp_path: Path) -> None:
    said = r"dataset\.splits\.test='test': .* accepted: \['train'\], or dataset\.splits\.test=null to draw"
    refused(source(write(tmp_path / "a.csv"), test="test"), tmp_path, said)


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.csv")
    write(tmp_path / "data" / "b.csv", "text,stars\na,0\n")
    said = r"b\.csv has the columns \['text', 'stars'\]; accepted: \['text', 'label'\], as in .*a\.csv"
    refused(source(f"{tmp_path}/data/*.csv"), tmp_path, said)


def test_column_files_with_other_columns_are_named(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.txt", "Rio B-LOC\n")
    write(tmp_path / "data" / "b.txt", "Rio NNP B-LOC\n")
    columns = {"tokens": "0", "labels": "1"}
    declared = Source("labeling", f"{tmp_path}/data/*.txt", columns, splits=ALONE, format="conll")
    refused(declared, tmp_path, r"b\.txt has 3 columns; accepted: 2, as in .*a\.txt")


@pytest.mark.parametrize("name", ["a.xlsx", "a"])
def test_a_format_that_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    refused(source(write(tmp_path / name)), tmp_path, r"file extension '.*'; accepted: one of \.csv, \.tsv")


def test_formats_are_not_mixed_in_a_split(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.csv")
    write(tmp_path / "data" / "b.jsonl", '{"text": "a", "label": 0}\n')
    refused(source(f"{tmp_path}/data/*"), tmp_path, r"file extension '\.csv' and '\.jsonl'")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    refused(source(write(tmp_path / "a.parquet", "PAR1")), tmp_path, r"a\.parquet cannot be read as \.parquet")


def test_row_groups_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unroll.data.download.download.GROUP_BYTES", 1000)
    path = write(tmp_path / "a.csv", "text,label\n" + "".join(f"{'x' * 90},0\n" for _ in range(100)))
    download(source(path), tmp_path / "out")
    assert 8 <= pq.read_metadata(tmp_path / "out" / "train.parquet").num_row_groups <= 15
