"""Texts from files and from standard input."""

import gzip
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer
from unroll.inference import texts
from unroll.inference.predictor import Predictor
from unroll.inference.scoring.inputs import FORMATS as SCORED
from unroll.inference.scoring.inputs import common_schema
from unroll.inference.scoring.job import ScoreOptions, build_job

SENTIMENT = DataSchema("classification", ["bad", "good"], ["<pad>"], ["<pad>"], Tokenizer(), is_pair=False)
PAIRS, ENTITIES = replace(SENTIMENT, is_pair=True), replace(SENTIMENT, task="labeling", label_names=["O", "B-X"])

LINES: dict[str, tuple[DataSchema, str, list[Any]]] = {
    "a.txt": (SENTIMENT, "Not bad.\r\nSo\u2028bad\n\nlast", ["Not bad.", "So\u2028bad", "", "last"]),
    "a.csv": (SENTIMENT, 'id,text\n1,"one, ""two""\nthree"\n2,\n', ['one, "two"\nthree', ""]),
    "semicolons.csv": (SENTIMENT, "\n text ;text_pair\nwho, me;x\nshort\n", ["who, me", "short"]),
    "a.tsv": (SENTIMENT, 'text\tid\n"a,b\t1\nsay "b"\t2\n', ['"a,b', 'say "b"']),
    "pairs.csv": (PAIRS, "text,text_pair\nwho,me\n", [("who", "me")]),
    "a.jsonl": (SENTIMENT, '{"text": "é"}\n\n"b"\n{"text": "c", "tokens": ["a"]}\n{"text": null}\n', [*"ébc", None]),
    "b.jsonl": (
        ENTITIES,
        '{"text": "c", "tokens": ["a"], "text_pair": "d"}\n["b"]\n{"text": "e"}\n',
        [["a"], ["b"], "e"],
    ),
    "pairs.json": (PAIRS, '{"text": "who", "text_pair": "me"}\n', [("who", "me")]),
}


def read_texts(path: Path | str, kind: str | None = None, schema: DataSchema = SENTIMENT) -> list[Any]:
    return list(texts.read_texts(str(path), texts.format_of(str(path), kind), schema))


@pytest.mark.parametrize("name", LINES)
def test_texts_of_every_format_are_read(name: str, tmp_path: Path) -> None:
    schema, content, expected = LINES[name]
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    assert read_texts(tmp_path / name, None, schema) == expected
    assert read_texts(tmp_path / f"{name}.gz", None, schema) == expected


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".csv": lambda table, file: file.write_text(table.to_pandas().to_csv(index=False)) and None,
    ".tsv": lambda table, file: file.write_text(table.to_pandas().to_csv(index=False, sep="\t")) and None,
    ".jsonl": lambda table, file: file.write_text("\n".join(map(json.dumps, table.to_pylist()))) and None,
    ".json": lambda table, file: file.write_text("\n".join(map(json.dumps, table.to_pylist()))) and None,
    ".parquet": pq.write_table,
}


@pytest.mark.parametrize("kind", SCORED)
@pytest.mark.parametrize(
    ("schema", "name", "columns", "expected"),
    [
        (SENTIMENT, "text", {"tokens": [["a"], ["b"]], "text_pair": ["x", "y"], "text": ["c", "d"]}, ["c", "d"]),
        (PAIRS, "text", {"text_pair": ["x", "y"], "text": ["c", "d"]}, [("c", "x"), ("d", "y")]),
        (ENTITIES, "tokens", {"text": ["c", "d"], "tokens": [["a"], None]}, [["a"], None]),
        (ENTITIES, "text", {"text": ["c", "d"], "tokens": ["a", "b"]}, ["c", "d"]),
    ],
    ids=["tokens and pairs of another model", "pairs", "tokens", "tokens that are text"],
)
def test_the_texts_of_a_file_are_those_that_scoring_reads_of_it(
    kind: str, schema: DataSchema, name: str, columns: dict[str, list[Any]], expected: list[Any], tmp_path: Path
) -> None:
    if kind in (".csv", ".tsv") and name == "tokens":
        name, expected = "text", columns["text"]  # a cell is text
    file = tmp_path / f"a{kind}"
    WRITERS[kind](pa.table(columns), file)
    assert read_texts(file, None, schema) == expected
    facts = {"task": schema.task, "is_pair": schema.is_pair, "given_tokens": False, "labels": schema.label_names}
    job = build_job(common_schema([file]), facts, ScoreOptions(columns=()), tmp_path, tmp_path, Predictor)
    assert job.texts == ((name, "text_pair") if schema.is_pair else (name,))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,body\n1,x\n", "a.csv: columns id, body; accepted: text"),
        ("a.csv", "id,text\n1,x\n\n2,y,z\n", "a.csv: line 4 has 3 cells; accepted: 2, as in the header"),
        ("a.csv", 'text\n"a" b\n', r"a.csv: line 2: ',' expected after '\"'; accepted: cells with quotation marks"),
        ("a.csv", "", "a.csv cannot be read as .csv: it is empty; accepted: a header and rows"),
        ("a.csv", "text,text\n", "a.csv cannot be read as .csv: two columns are called 'text'"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1: not JSON"),
        ("a.jsonl", '{"body": "a"}\n', "a.jsonl, line 1: columns body; accepted: text"),
        ("a.parquet", "text", "a.parquet cannot be read: "),
        (
            "a.docx",
            "x",
            "format '.docx'; accepted: .txt, .csv, .tsv, .jsonl, .json, .parquet, which --format names too",
        ),
        ("missing.txt", None, "missing.txt: no such file; accepted: .txt"),
        ("", None, ": a folder; accepted: .txt"),
    ],
)
def test_a_file_without_texts_is_one_line_with_the_place(
    name: str, content: str | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_texts(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", ".csv"])
def test_a_format_is_named_with_its_dot_or_without(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text\ngood\n")
    assert list(read_texts(str(tmp_path / "a.txt"), kind)) == ["good"]
    with pytest.raises(ValueError, match=rf"^--format={re.escape(kind)}x; accepted: \.txt, "):
        read_texts(str(tmp_path / "a.txt"), f"{kind}x")


@pytest.mark.parametrize(("kind", "expected"), [(None, ['{"text": "é"}']), (".jsonl", ["é"])])
def test_standard_input_is_lines_unless_another_format_is_named(
    kind: str | None, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO('{"text": "é"}\n'.encode())))
    assert read_texts("-", kind) == expected


def test_standard_input_that_is_not_utf8_is_an_error_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"fine\n\xff\n")))
    with pytest.raises(ValueError, match="standard input, line 2: not UTF-8"):
        read_texts("-")


def test_rows_of_standard_input_are_read_as_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    def arriving() -> Iterator[bytes]:
        yield from (b"id;text\n", b"1;one\n", b"2;two\n")
        raise AssertionError("nothing else has arrived")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=arriving()))
    rows = texts.read_texts("-", ".csv", SENTIMENT)
    assert [next(rows), next(rows)] == ["one", "two"]


def test_parquet_in_standard_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^standard input as .parquet; accepted: a file of this format$"):
        read_texts("-", ".parquet")
