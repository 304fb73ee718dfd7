"""Texts from files and from standard input."""

import gzip
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from unroll.inference.texts import read_texts

LINES = {
    "a.txt": ("Not bad.\r\nSo\u2028bad\n\nlast", ["Not bad.", "So\u2028bad", "", "last"]),
    "a.csv": ('id,text\n1,"one, ""two""\nthree"\n2,\n', ['one, "two"\nthree', ""]),
    "a.tsv": ("text\tid\na,b\t1\n", ["a,b"]),
    "pairs.csv": ("text,text_pair\nwho,me\n", [("who", "me")]),
    "a.jsonl": ('{"text": "é"}\n\n"b"\n{"tokens": ["a", "b"]}\n{"text": null}\n', ["é", "b", ["a", "b"], None]),
    "pairs.json": ('{"text": "who", "text_pair": "me"}\n', [("who", "me")]),
}


@pytest.mark.parametrize("name", LINES)
def test_texts_of_every_format_are_read(name: str, tmp_path: Path) -> None:
    content, expected = LINES[name]
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    assert list(read_texts(str(tmp_path / name))) == expected
    assert list(read_texts(str(tmp_path / f"{name}.gz"))) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,body\n1,x\n", "a.csv has the columns id, body; accepted: a column named text"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1: not JSON"),
        ("a.jsonl", '{"body": "a"}\n', "a.jsonl, line 1 has the keys body; accepted: text or tokens"),
        ("a.docx", "x", "unknown format '.docx'; accepted: .txt, .csv, .tsv, .jsonl, .json, which --format names too"),
        ("missing.txt", None, "missing.txt: no such file; accepted: .txt"),
        ("", None, ": a folder; accepted: .txt"),
        ("a.csv", "", "a.csv is empty; accepted: a column named text"),
    ],
)
def test_a_file_without_texts_is_one_line_with_the_place(
    name: str, content: str | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        list(read_texts(str(tmp_path / name)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", ".csv"])
def test_a_format_is_named_with_its_dot_or_without(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text\ngood\n")
    assert list(read_texts(str(tmp_path / "a.txt"), kind)) == ["good"]
    with pytest.raises(ValueError, match=r"^--format=\.docx; accepted: \.txt, "):
        read_texts(str(tmp_path / "a.txt"), "docx")


@pytest.mark.parametrize(("kind", "expected"), [(None, ['{"text": "é"}']), (".jsonl", ["é"])])
def test_standard_input_is_lines_unless_another_format_is_named(
    kind: str | None, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO('{"text": "é"}\n'.encode())))
    assert list(read_texts("-", kind)) == expected


def test_standard_input_that_is_not_utf8_is_an_error_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"fine\n\xff\n")))
    with pytest.raises(ValueError, match="standard input, line 2: not UTF-8"):
        list(read_texts("-"))
