"""Files are cut into chunks that together have every row once, and a row that cannot be read has a reason."""

import csv
import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unroll.inference.scoring.columns import Rows
from unroll.inference.scoring.inputs import common_schema, cut, find_files, open_input, part_size
from unroll.inference.scoring.parquet_input import ParquetInput

MANY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELL = st.text(st.sampled_from('ab,;"\n\té\u2028 '), max_size=5)


def read(file: Path, size: int, seed: int | None = None) -> list[Rows]:
    """The rows of all chunks, read by one open file, in their order or in a random one."""
    schema, opened = common_schema([file]), open_input(file)
    chunks = cut([file], size)
    order = chunks if seed is None else random.Random(seed).sample(chunks, len(chunks))
    found = {it: list(opened.read(it.start, it.stop, it.line, schema, True)) for it in order}
    return [rows for chunk in chunks for rows in found[chunk]]


def values(blocks: list[Rows]) -> list[dict[str, Any]]:
    return [row for rows in blocks for row in rows.columns.to_pylist()]


def problems(blocks: list[Rows]) -> list[str]:
    return [rows.problems[i] for rows in blocks for i in sorted(rows.problems)]


@MANY
@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=30), st.integers(1, 60), st.sampled_from(["\n", "\r\n"]))
def test_csv_with_quoted_lines_is_cut_between_rows(
    tmp_path: Path, table: list[tuple[str, ...]], size: int, end: str
) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("text", "b", "c"), *table])
    for name, content in (
        ("a.csv", written.getvalue().encode()),
        ("a.csv.gz", gzip.compress(written.getvalue().encode())),
    ):
        (tmp_path / name).write_bytes(content)
        for seed in (None, 1):
            found = read(tmp_path / name, size, seed)
            assert [tuple(it or "" for it in row.values()) for row in values(found)] == table
            assert problems(found) == []


@MANY
@given(st.lists(st.fixed_dictionaries({"text": CELL}, optional={"n": CELL}), max_size=30), st.integers(1, 60))
def test_json_lines_are_cut_between_rows(tmp_path: Path, table: list[dict[str, str]], size: int) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table))
    found = read(file, size, 1)
    names = dict.fromkeys(name for row in table for name in row)
    assert values(found) == [{name: row.get(name) for name in names} for row in table]
    assert problems(found) == []


@MANY
@given(st.lists(st.integers(0, 20), max_size=6), st.integers(1, 300), st.none() | st.integers(0, 99))
def test_parquet_is_cut_across_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: list[int], size: int, seed: int | None
) -> None:
    monkeypatch.setattr("unroll.inference.scoring.parquet_input.BLOCK", 3)
    file, rows = tmp_path / "a.parquet", 0
    with pq.ParquetWriter(file, pa.schema({"n": pa.int64()})) as writer:
        for count in groups:
            writer.write_table(pa.table({"n": pa.array(range(rows, rows + count), pa.int64())}))
            rows += count
    assert [row["n"] for row in values(read(file, size, seed))] == list(range(rows))


def test_chunks_that_are_read_in_order_decode_a_row_group_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": range(10000)}), file)
    opened, starts = ParquetInput(file), []
    original = opened._file.iter_batches

    class Counting:
        def iter_batches(self, *given: Any, **options: Any) -> Any:
            starts.append(given)
            return original(*given, **options)

    monkeypatch.setattr(opened, "_file", Counting())
    for start in (0, 3000, 9000):  # the chunks between are read by another process
        (*_, last) = opened.read(start, start + 1000, 1, pa.schema({"n": pa.int64()}), True)
        assert last.columns["n"][-1].as_py() == start + 999
    assert len(starts) == 1


def test_a_row_group_may_have_thousands_of_chunks(tmp_path: Path) -> None:
    file, rows = tmp_path / "a.parquet", 4500
    pq.write_table(pa.table({"n": range(rows)}), file)
    opened, schema = ParquetInput(file), pa.schema({"n": pa.int64()})
    found = [values(list(opened.read(n, n + 1, 1, schema, True))) for n in range(rows)]
    assert found == [[{"n": n}] for n in range(rows)]


def test_strings_of_parquet_that_are_not_utf8_are_left_out_with_a_reason(tmp_path: Path) -> None:
    text = pa.array([b"good", b"b\xff", None]).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"text": text, "n": [1, 2, 3]}), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", 1000)
    assert values(found) == [{"text": "good", "n": 1}, {"text": None, "n": 2}, {"text": None, "n": 3}]
    assert problems(found) == ["text is not UTF-8: left out"]


def test_rows_of_csv_that_cannot_be_read_have_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b'\xef\xbb\xbf\ntext;n\ngood;1\n\nbad;2;3\nb\xff\n"x"y;4\nshort\nlast;"open')
    found = read(file, 1000)
    assert [row["text"] for row in values(found)] == ["good", None, None, None, "short", None]
    quotes = 'accepted: cells with quotation marks at both ends or neither, and "" for one inside'
    assert problems(found) == [
        "line 5 has 3 cells; accepted: 2, as in the header",
        "line 6 is not UTF-8",
        f"line 7: ';' expected after '\"'; {quotes}",
        f"line 9: unexpected end of data; {quotes}",
    ]


def test_tsv_takes_quotation_marks_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tn\n"a\t1\nb"\t2\n')
    assert values(read(tmp_path / "a.tsv", 1)) == [{"text": '"a', "n": "1"}, {"text": 'b"', "n": "2"}]


def test_rows_of_json_lines_that_cannot_be_read_have_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(
        b'{"text": "good"}\n[1]\n\n{"text": \n{"text": "\xff"}\n{"text": "\\ud83d"}\n{"text": "\\ud83d\\ude00"}\n'
        + b"[" * 100000
    )
    found = read(file, 10**6)
    assert [row["text"] for row in values(found)] == ["good", None, None, None, None, "😀", None]
    accepted = 'accepted: an object on each line, such as {"text": "So good."}'
    assert problems(found) == [
        f"line 2 is not an object; {accepted}",
        f"line 4 is not JSON (Expecting value: line 1 column 10 (char 9)); {accepted}",
        f"line 5 is not UTF-8; {accepted}",
        f"line 6 contains half a character (a surrogate); {accepted}",
        f"line 8 is not JSON (too many nested brackets); {accepted}",
    ]
    assert found[0].unread == {1, 2, 3, 4, 6}


def test_json_columns_keep_their_values_and_mixed_ones_become_json(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    rows = [
        {"i": 1, "x": 1, "s": "2020-01-01", "b": True, "t": ["a", "b"], "o": {"k": 1}, "m": 1},
        {"i": 2, "x": 1.5, "s": "é", "b": None, "t": [], "o": {"l": [2]}, "m": "one"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    types = {it.name: str(it.type) for it in common_schema([file])}
    assert types | {"o": "", "m": ""} == {
        **{"i": "int64", "x": "double", "s": "string", "b": "bool", "t": "list<item: string>", "o": "", "m": ""}
    }
    found = values(read(file, 10))
    for row in found:
        row["o"], row["m"] = json.loads(row["o"]), json.loads(row["m"])
    assert found == rows


@pytest.mark.parametrize("late", ["1.5", "true", '"x"', "99999999999999999999", "[1]"])
def test_a_later_value_of_another_type_is_left_out_with_a_reason(
    late: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unroll.inference.scoring.json_input.SAMPLE", 10)
    (tmp_path / "a.jsonl").write_text(f'{{"n": 1, "s": "a"}}\n{{"n": {late}, "s": "b"}}\n{{"n": 2, "new": 1}}\n')
    found = read(tmp_path / "a.jsonl", 1000)
    assert values(found) == [{"n": 1, "s": "a"}, {"n": None, "s": "b"}, {"n": 2, "s": None}]
    assert problems(found) == [
        "line 2: n is not of the type int64: left out",
        "line 3: 'new' is in no row at the beginning of a file: left out",
    ]
    assert found[0].unread == frozenset()


def test_columns_that_are_not_wanted_are_no_problem(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1, "s": "a"}\n')
    (rows,) = open_input(tmp_path / "a.jsonl").read(0, 19, 1, pa.schema({"s": pa.string()}), False)
    assert (rows.columns.to_pylist(), rows.problems) == ([{"s": "a"}], {})


def test_types_of_json_columns_are_united_over_the_files(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.jsonl" for i in range(3)]
    for file, row in zip(files, ['{"a": 1, "b": 1}', '{"a": 1.5}', '{"b": "x", "c": true}'], strict=True):
        file.write_text(row)
    assert {it.name: str(it.type) for it in common_schema(files)} == {
        "a": "double",
        "b": "extension<arrow.json>",
        "c": "bool",
    }


def test_a_json_column_without_a_value_in_one_file_has_the_type_of_the_others(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.jsonl" for i in range(3)]
    rows = ['{"a": null, "b": null, "c": ["x"]}', '{"a": "x", "b": null, "c": null}', '{"a": null, "b": null}']
    for file, row in zip(files, rows, strict=True):
        file.write_text(row)
    schema = common_schema(files)
    assert [str(it) for it in schema.types] == ["string", "extension<arrow.json>", "list<item: string>"]
    assert [str(it) for it in common_schema(files[1:]).types][:2] == ["string", "extension<arrow.json>"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"text", "a.parquet cannot be read: "),
        ("a.jsonl", b'[{"text": "a"}]', "a.jsonl cannot be read as .jsonl: it is a list; accepted: an object on each"),
        (
            "a.jsonl",
            b"text",
            "a.jsonl cannot be read as .jsonl: no line is an object; accepted: an object on each line",
        ),
        ("a.csv", b"", "a.csv cannot be read as .csv: it is empty; accepted: a header and rows"),
        ("a.csv", b"a,a\n", "a.csv cannot be read as .csv: two columns are called 'a'"),
        ("a.csv", b"text,n\rgood,1\r", "a.csv cannot be read as .csv: its header has a line end of CR alone; accepted"),
        (
            "a.tsv",
            b"text\tn\rgood\t1\r",
            "a.tsv cannot be read as .tsv: its header has a line end of CR alone; accepted",
        ),
        ("a.csv", "a,b".encode("utf-16"), "a.csv cannot be read as .csv: it is not UTF-8; accepted: UTF-8"),
        ("a.csv.gz", b"text", "a.csv.gz cannot be read as .csv: Not a gzipped file"),
        ("a.csv.gz", gzip.compress(b"text\na\n")[:-9], "a.csv.gz cannot be read as .csv: Compressed file ended before"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as error:
        read(tmp_path / name, 10)
    assert str(error.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(error.value)


def test_a_quotation_mark_that_is_never_closed_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unroll.data.csv_rows.LONGEST_CELL", 1000)
    (tmp_path / "a.csv").write_text('text\n"a\n' + "row\n" * 1000)
    with pytest.raises(
        ValueError, match=r"a.csv cannot be read as .csv: a cell of more than 1000 characters; accepted"
    ):
        read(tmp_path / "a.csv", 100)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["no.csv"],
            "no.csv: no such file; accepted: files of one of .parquet, .csv, .tsv, .jsonl, .json, of text also",
        ),
        (["*.txt"], "a.txt: file extension '.txt'; accepted"),
        (["empty"], "empty: no file; accepted"),
        (["a.csv", "b.jsonl"], "a.csv, …: file extension '.csv' and '.jsonl'; accepted: files of one of"),
    ],
)
def test_files_that_are_not_accepted_are_named(
    given: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.jsonl", "a.txt"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError) as error:
        find_files(given)
    assert str(error.value).startswith(message)


def test_names_that_begin_with_an_underscore_or_a_dot_are_no_data_unless_they_are_given(tmp_path: Path) -> None:
    for name in ("b.csv", "a/c.csv", "_SUCCESS", "_d.csv", "a/.e.csv", "_f/g.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for whole in (tmp_path, tmp_path / "*"):
        assert find_files([str(whole)]) == [tmp_path / "a" / "c.csv", tmp_path / "b.csv"]
    assert find_files([str(tmp_path / "_d.csv"), str(tmp_path / "_f")]) == [tmp_path / "_d.csv", tmp_path / "_f/g.csv"]


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\n")
    (tmp_path / "b.csv").write_text("n,text\n")
    (tmp_path / "c.csv").write_text("text\n")
    assert common_schema([tmp_path / "a.csv", tmp_path / "b.csv"]).names == ["text", "n"]
    with pytest.raises(
        ValueError, match=r"c.csv has the columns text \(string\); accepted: text \(string\), n \(string\)"
    ):
        common_schema([tmp_path / "a.csv", tmp_path / "c.csv"])


def test_parts_are_neither_too_small_nor_too_many(tmp_path: Path) -> None:
    sizes = {}
    for size in (10**3, 10**8, 10**12):
        with (tmp_path / "a.csv").open("wb") as file:
            file.truncate(size)  # a hole, which takes no space
        sizes[size] = part_size([tmp_path / "a.csv"])
    assert sizes == {10**3: 1 << 16, 10**8: 10**8 // 256, 10**12: 1 << 24}
