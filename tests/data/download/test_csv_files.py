"""CSV and TSV files, whose cells are text."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.data.raw import LENIENT
from unroll.data.download import files
from unroll.data.download.download import download
from unroll.data.download.files import csv_batches
from unroll.data.prepare.prepare import prepare
from unroll.data.prepared import PreparedData
from unroll.data.raw import raw_rows
from unroll.data.source import Source
from unroll.data.tokenizer import Tokenizer
from unroll.drift.labels import read_new_labels
from unroll.drift.new_text import read_new_text

Rows = list[list[str | None]]


def rows_of(path: Path, content: str | bytes) -> Rows:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [list(row.values()) for batch in csv_batches(path) for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\nNA,None\nnull,nan\n", [["NA", "None"], ["null", "nan"]]),
        ("a,b\n01,1.0\n,007\n", [["01", "1.0"], [None, "007"]]),
        ('a,b\n"",x\n', [[None, "x"]]),
        ('a,b\n"one\ntwo, three","say ""x"""\n', [["one\ntwo, three", 'say "x"']]),
        ('a,b\n5" disc, x\n', [['5" disc', " x"]]),
        ("a,b\n\nx,y\n\n", [["x", "y"]]),
        ("a,b\nx\n", [["x", None]]),
        ("a,b,,\nx,y,,z\n", [["x", "y", None, "z"]]),
        ("a,b\r\nx,y\r\n", [["x", "y"]]),
        ("a,b\rx,y\r", [["x", "y"]]),
        ("a,b\nx\u2028,y\x85\n", [["x\u2028", "y\x85"]]),
        ("\ufeffa;b\nx, y;z\n", [["x, y", "z"]]),
        ('"a, b";c\nx;y\n', [["x", "y"]]),
        ('a|b\n"x|y, z"|\n', [["x|y, z", None]]),
        ("a\tb\nx, y\tz\n".encode("utf-16"), [["x, y", "z"]]),
        ("a\nx;y\n", [["x;y"]]),
        ("a,b\n", []),
    ],
    ids=lambda value: None if isinstance(value, list) else repr(value[:20]),
)
def test_cells_are_read_as_they_are_written(tmp_path: Path, content: str | bytes, rows: Rows) -> None:
    assert rows_of(tmp_path / "x.csv", content) == rows


def test_a_quotation_mark_is_a_character_in_a_tsv_file(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "x.tsv", 'a\tb\n"x\ty;z\n"u"\tv\n') == [['"x', "y;z"], ['"u"', "v"]]


def test_a_compressed_file_is_read_by_its_name(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "x.CSV.gz", gzip.compress(b"a,b\nx,y\n")) == [["x", "y"]]
    assert rows_of(tmp_path / "x.tsv.gz", gzip.compress(b'a\tb\n"x\ty\n')) == [['"x', "y"]]


def test_types_do_not_depend_on_the_rows_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CSV_ROWS", 2)
    assert rows_of(tmp_path / "x.csv", "a\n1\n2\n\nx\n3\n") == [["1"], ["2"], ["x"], ["3"]]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "x.csv", f"a,b\n{'x' * 200_000},y\n")[0][0] == "x" * 200_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\nx,y\n\nx,y,z\n", r"line 4 has 3 cells; accepted: 2, as in the header"),
        ('a,b\n"x\ny",z\nx,y,\n', r"line 4 has 3 cells; accepted: 2"),
        ('a,b\nx,y\n"open,y\nx,y\n', r"line 3: unexpected end of data; accepted: cells with quotation marks at both"),
        ('a,b\n"x" y,z\n', r"line 2: ',' expected after '\"'; accepted"),
        ("a,b,a\nx,y,z\n", r"two columns are called 'a'"),
        ("", r"it is empty; accepted: a header and rows"),
        ("a,b\nx,y\ncaf\xe9,z\n".encode("latin-1"), r"line 3 is not UTF-8 .*; accepted: UTF-8, or UTF-16 with"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_with_the_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=rf"x\.csv cannot be read as \.csv: {said}"):
        rows_of(tmp_path / "x.csv", content)


@pytest.mark.parametrize("content", [b"a,b\n", gzip.compress(b"a,b\n" * 9, mtime=0)[:-9]], ids=["not gzip", "cut"])
def test_a_damaged_archive_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"x\.csv\.gz cannot be read: "):
        rows_of(tmp_path / "x.csv.gz", content)


def test_what_is_accepted_is_said_once_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nx,y\nx,y,z\n")
    with pytest.raises(ValueError) as error:
        download(source_of(tmp_path), tmp_path / "out")
    said = f"{tmp_path}/train.csv cannot be read as .csv: line 3 has 3 cells; accepted: 2, as in the header"
    assert str(error.value) == f"dataset.path={str(tmp_path)!r} cannot be loaded as a dataset: {said}"


def source_of(path: Path, **changes: Any) -> Source:
    splits = {"train": "train", "validation": None, "test": None}
    columns = {"text": "text", "label": "label"}
    return Source("classification", str(path), columns, **{"splits": splits, **changes})


@pytest.mark.parametrize(
    ("labels", "configured", "names"),
    [
        (["NA", "None", "", "null"], None, ["NA", "None", None, "null"]),
        (["10", "9", "", "9"], None, ["10", "9", None, "9"]),
        (["01", "1", "01", "1"], None, ["01", "1", "01", "1"]),
        (["1", "0", "0", "1"], ["1", "0"], ["1", "0", "0", "1"]),
        (["1", "0", "", "x"], ["neg", "pos"], ["pos", "neg", None, None]),
        (["2", "1", "5", "1"], ["1", "2", "3", "4", "5"], ["2", "1", "5", "1"]),
        (["1.0", "0.0", "", "1.0"], ["1", "0"], ["1", "0", None, "1"]),
        (["True", "FALSE", "true", "False"], None, ["true", "false", "true", "false"]),
        (["True", "False", "", "True"], ["true", "false"], ["true", "false", None, "true"]),
        (["True", "False", "", "True"], ["neg", "pos"], ["pos", "neg", None, "pos"]),
        ([" pos", "neg ", "pos", "neg"], None, ["pos", "neg", "pos", "neg"]),
    ],
)
def test_prepare_and_drift_read_the_same_labels(
    tmp_path: Path, labels: list[str], configured: list[str] | None, names: list[str | None]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "".join(f"NA,{label}\n" for label in labels * 5))
    source = source_of(path, label_names=configured)
    download(source, tmp_path / "raw")
    description = prepare(source, tmp_path / "raw", tmp_path / "out", LENIENT)
    data = PreparedData(tmp_path / "out")
    found: dict[int, str] = {}
    for split in ("train", "validation", "test"):
        encoded = data.split(split)
        found |= {int(row): data.label_names[i] for row, i in zip(encoded.rows, encoded.labels, strict=True)}
    assert [found.get(row) for row in range(len(labels))] == names
    assert sum(description["quarantined"]["train"].values()) == 5 * names.count(None)
    new = read_new_text(path, source, Tokenizer())
    drifted = read_new_labels(new, path, source, data.label_names)
    known = [name for name in drifted if name in data.label_names]
    assert known == [name for name in names if name is not None] * 5


README = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': bad
          '1': good
---
"""


@pytest.mark.parametrize("readme", ["", README])
def test_files_of_a_folder_are_read_like_single_ones(tmp_path: Path, readme: str) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        (folder / f"{split}.csv").write_text('text,label\nNA,bad\n"a, b",good\nnull,\n')
    if readme:
        (folder / "README.md").write_text(readme)
    source = source_of(folder, splits={split: split for split in ("train", "validation", "test")})
    manifest = download(source, tmp_path / "raw")
    rows = list(raw_rows(tmp_path / "raw" / "test.parquet", source, 0))
    values = [0, 1, None] if readme else ["bad", "good", None]
    assert rows == [{"text": text, "label": label} for text, label in zip(["NA", "a, b", "null"], values, strict=True)]
    assert manifest["label_names"] == (["bad", "good"] if readme else None)
