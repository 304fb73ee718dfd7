"""Tables in text are read in the same way wherever they are read."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unroll.data import csv_rows
from unroll.data.csv_rows import open_table
from unroll.data.download.files import csv_batches
from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer
from unroll.inference.scoring.inputs import open_input
from unroll.inference.texts import read_texts

SENTIMENT = DataSchema("classification", ["bad", "good"], ["<pad>"], ["<pad>"], Tokenizer(), is_pair=False)
Outcome = list[str] | str


def downloaded(file: Path) -> Outcome:
    try:
        return [text or "" for batch in csv_batches(file) for text in batch["text"].to_pylist()]
    except ValueError as error:
        return str(error).partition("line ")[2]


def scored(file: Path) -> Outcome:
    opened, texts = open_input(file), []
    for rows in opened.read(*next(opened.cut(1 << 20), (0, 0, 1)), opened.schema(), True):
        if rows.problems:
            return rows.problems[min(rows.problems)].partition("line ")[2]
        texts += [text or "" for text in rows.columns["text"].to_pylist()]
    return texts


def predicted(file: Path) -> Outcome:
    try:
        return list(read_texts(str(file), file.suffix, SENTIMENT))
    except ValueError as error:
        return str(error).partition("line ")[2]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([".csv", ".tsv"]),
    st.sampled_from(["", "\n", " \n"]),
    st.sampled_from(["text", "text,n", "n;text", " text\t", 'n|"text"', "n\ttext"]),
    st.text(st.sampled_from('a,;\t|"\né '), max_size=25),
)
def test_downloading_scoring_and_predicting_read_the_same_rows_of_a_table(
    tmp_path: Path, kind: str, before: str, header: str, rows: str
) -> None:
    if kind == ".tsv" and header not in ("text", " text\t", "n\ttext"):
        header = "text"
    file = tmp_path / f"a{kind}"
    file.write_text(f"{before}{header}\n{rows}")
    assert downloaded(file) == scored(file) == predicted(file)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "^a: it is empty; accepted: a header and rows$"),
        (["\n", " \n"], "^a: it is empty; accepted: a header and rows$"),
        (["x,x\n"], "^a: two columns are called 'x'$"),
        (["\n", '"x"y,z\n'], "^a: line 2: ',' expected after '\"'; accepted: cells with quotation marks at both ends"),
        (["x,y\rz,1\r"], "^a: its header has a line end of CR alone; accepted: LF or CRLF$"),
        (['"' + "x" * 99 + "\n"], "^a: its header has a cell of more than 50 characters; accepted: cells with"),
    ],
)
def test_a_header_that_cannot_be_read_is_one_line(
    lines: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "LONGEST_CELL", 50)
    with pytest.raises(ValueError, match=message):
        open_table(lines, ".csv", "a")


def test_a_row_that_cannot_be_read_is_followed_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "LONGEST_CELL", 50)
    names, rows = open_table(["a,b\n", "x,y,z\n", "\n", "x" * 51 + "\n", "x\n"], ".csv", "a")
    assert names == ["a", "b"]
    assert [row.cells for row in rows] == [["", ""], ["", ""], ["x", ""]]
