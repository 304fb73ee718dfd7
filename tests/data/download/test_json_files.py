"""JSON files, whose values are read as they are written."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.data.raw import LENIENT
from unroll.data.download import json_files
from unroll.data.download.download import download
from unroll.data.download.json_files import json_dataset, json_rows
from unroll.data.prepare.prepare import prepare
from unroll.data.source import Source

ALONE: dict[str, str | None] = {"train": "train", "validation": None, "test": None}


def read(folder: Path, *contents: str | bytes, ending: str = "jsonl") -> list[dict[str, Any]]:
    """The rows of files with these contents."""
    files = [folder / f"{number}.{ending}" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows: list[dict[str, Any]] = json_dataset(files, str(folder)).data.table.to_pylist()
    return rows


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ('{"a": "2024-01-31"}\n{"a": "2024-01-31T10:00:00Z"}', ["2024-01-31", "2024-01-31T10:00:00Z"]),
        ('{"a": "NA"}\n\n{"a": "null"}\n{"a": ""}\n{"a": null}\n{}', ["NA", "null", "", None, None]),
        ('{"a": "01"}\r\n{"a": "1.0"}\r', ["01", "1.0"]),
        ('{"a": "x\u2028y\x85"}', ["x\u2028y\x85"]),
        ('\ufeff{"a": "x"}', ["x"]),
        ('{"a": "é"}\n'.encode("utf-16"), ["é"]),
        ('[{"a": "2024-01-31"},\n {"a": "x"}]', ["2024-01-31", "x"]),
        ('{"a": 1}\n{"a": 2.5}\n{"a": null}', [1.0, 2.5, None]),
        ('{"a": true}\n{"a": null}', [True, None]),
        ('{"a": [{"b": 1}]}\n{"a": []}\n{"a": [{"c": "d"}]}', [[{"b": 1, "c": None}], [], [{"b": None, "c": "d"}]]),
    ],
    ids=lambda value: None if isinstance(value, list) else repr(value[:20]),
)
@pytest.mark.parametrize("rows", [1, 10_000])
def test_values_are_read_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, values: list[Any], rows: int
) -> None:
    monkeypatch.setattr(json_files, "ROWS", rows)  # what a block contains does not matter
    assert [row.get("a") for row in read(tmp_path, content)] == values


def test_a_compressed_file_is_read_by_its_name(tmp_path: Path) -> None:
    assert read(tmp_path, gzip.compress(b'{"a": "x"}'), ending="json.GZ") == [{"a": "x"}]


@pytest.mark.parametrize("values", [[1, "x"], [True, 1], [1.5, True], [[0, "x"]], [{"b": 1}, "x"], [2**80], [{}]])
@pytest.mark.parametrize("rows", [1, 10_000])
def test_values_of_several_types_are_kept_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[Any], rows: int
) -> None:
    monkeypatch.setattr(json_files, "ROWS", rows)
    found = read(tmp_path, "\n".join(json.dumps({"a": value}) for value in values))
    assert [json.loads(row["a"]) for row in found] == values


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": 1}\n\n{"a": }\n', r"line 3, column 7: Expecting value"),
        ('{"a": 1}\n{"a": \n', r"line 2, column 6: Expecting value"),
        ('[{"a": 1},\n {"a" 2}]', r"line 2, column 7: Expecting ':' delimiter"),
        ('{\n "a": 1,\n}', r"line 1, column 2: Expecting property name"),
        ('{\n "a": 1\n}\n{"a": 2}', r"line 1, column 2: Expecting property name"),
        ('{"a": 1}\n"x"\n', r'line 2 is "x"'),
        ('[{"a": 1}, 2]', r"item 2 is 2"),
        ('{"a": ' + "[" * 100_000, r"line 1: too many nested brackets"),
        ("", r"it contains no rows"),
        ("[]", r"it contains no rows"),
        ("{}", r"it contains no rows"),
        ('{"a": "x"}'.encode("utf-16-le"), r"line 1 contains zero bytes; accepted: UTF-8, or UTF-16 with a byte"),
        (b'{"a": "x"}\n{"a": "\xe9"}', r"line 2 is not UTF-8"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=rf"0\.jsonl cannot be read as \.jsonl: {said}"):
        read(tmp_path, content)


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"1\.jsonl has the columns \['b'\]; accepted: \['a'\], as in .*0\.jsonl"):
        read(tmp_path, '{"a": 1}', '{"b": 1}')


def test_half_a_surrogate_pair_is_no_text(tmp_path: Path) -> None:
    rows = [
        '{"text": "cut \\ud83d", "label": "a"}',
        *(f'{{"text": "t{i}", "label": "{"ab"[i % 2]}"}}' for i in range(9)),
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(rows))
    source = Source("classification", str(tmp_path / "x.jsonl"), {"text": "text", "label": "label"}, splits=ALONE)
    download(source, tmp_path / "raw")
    prepare(source, tmp_path / "raw", tmp_path / "out", LENIENT)
    (bad,) = pq.read_table(tmp_path / "out" / "quarantine.parquet").to_pylist()
    assert (bad["row"], bad["reason"]) == (0, "broken encoding: not UTF-8")


def test_files_in_a_folder_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        (tmp_path / "data" / f"{split}.jsonl").write_text('{"text": "2024-01-31", "label": "a"}\n')
    source = Source("classification", str(tmp_path / "data"), {"text": "text", "label": "label"})
    source.splits["validation"] = None
    download(source, tmp_path / "raw")
    assert pq.read_table(tmp_path / "raw" / "test.parquet")["text"].to_pylist() == ["2024-01-31"]


TEXT, TOKENS = {"text": False, "label": False}, {"tokens": True, "labels": True}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("columns", "content", "rows"),
    [
        (TEXT, {"text": ["a", "b"], "label": [0, 1]}, [{"text": "a", "label": 0}, {"text": "b", "label": 1}]),
        (TEXT, {"text": ["a"], "label": ["x"], "id": [[7]]}, [{"text": "a", "label": "x", "id": [7]}]),
        (TEXT, {"text": "a", "label": 0}, [{"text": "a", "label": 0}]),
        (TEXT, {"other": ["a", "b"]}, [{"other": ["a", "b"]}]),
        (TOKENS, {"tokens": ["a", "b"], "labels": ["O", "O"]}, [{"tokens": ["a", "b"], "labels": ["O", "O"]}]),
        (TOKENS, {"tokens": [["a"], ["b"]], "labels": [["O"], ["X"]]}, [
            {"tokens": ["a"], "labels": ["O"]}, {"tokens": ["b"], "labels": ["X"]}
        ]),
        ({"text": False, "spans": True}, {"text": "a", "spans": [[0, 1, "X"]]}, None),
    ],
)  # fmt: skip
def test_one_object_is_a_row_or_a_list_for_each_column(
    tmp_path: Path, columns: dict[str, bool], content: dict[str, Any], rows: list[Any] | None, indent: int | None
) -> None:
    (tmp_path / "x.json").write_text(json.dumps(content, indent=indent) + "\n")
    assert list(json_rows(tmp_path / "x.json", columns)) == (rows or [content])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"text": ["a", "b"], "label": [1]}, r"column 'label' is 1 values; accepted: 2, as in the others"),
        ({"text": ["a", "b"], "label": [0, 1], "id": 7}, r"column 'id' is 7; accepted: 2, as in the others"),
        ({"text": [], "label": []}, "it contains no rows"),
    ],
)
def test_columns_of_several_lengths_are_refused(tmp_path: Path, content: dict[str, Any], said: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=said):
        json_dataset([tmp_path / "x.json"], str(tmp_path), TEXT)


@pytest.mark.parametrize("path", ["", "train.json"])
def test_a_dataset_of_one_object_is_downloaded(tmp_path: Path, path: str) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/train.json").write_text(json.dumps({"text": ["a", "b"], "label": ["x", "y"]}, indent=1))
    columns = {"text": "text", "label": "label"}
    download(Source("classification", str(tmp_path / "hub" / path), columns, splits=ALONE), tmp_path / "raw")
    assert pq.read_table(tmp_path / "raw/train.parquet").to_pydict() == {"text": ["a", "b"], "label": ["x", "y"]}
