"""Files are scored completely, once, as by `Predictor.predict`, and an output of something else is not touched."""

import csv
import datetime
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.forks import forking
from tests.inference.scoring.conftest import ROWS, Score, read
from tests.inference.scoring.here import HALF, MANY, in_this_process, score_until
from unroll.files import copy_folder, delete
from unroll.inference.predictor import Predictor
from unroll.inference.scoring import engines
from unroll.locks import output_lock
from unroll.side_by_side import Done


def test_every_row_has_the_answer_of_the_predictor_and_its_own_columns(
    run: Score, rows: Path, classifier: Path, tmp_path: Path
) -> None:
    done = run(rows, part_bytes=MANY)
    found = read(tmp_path / "out")
    assert (done.rows, done.scored, done.problems) == (60, 60, len([row for row in found if row["error"]]))
    assert [{"id": row["id"], "text": row["text"]} for row in found] == ROWS
    expected = Predictor.load(classifier).predict([row["text"] for row in ROWS], errors="coerce")
    assert [row["label"] for row in found] == [it["label"] for it in expected]
    chances = [it["probability"] for it in expected]
    assert [row["probability"] for row in found] == [it and pytest.approx(it, abs=1e-6) for it in chances]
    assert len(list((tmp_path / "out").glob("part-*"))) > 5
    assert {it.name for it in tmp_path.iterdir()} == {"rows.parquet", "out", ".out.running"}


def test_a_row_without_an_answer_has_the_reason(run: Score, rows: Path, tmp_path: Path) -> None:
    run(rows)
    found = read(tmp_path / "out")
    assert found[7] == {
        **ROWS[7],
        "label": None,
        "probability": None,
        "error": "text is None; accepted by this model: a text",
    }
    assert found[8]["error"] == "text is empty: ' '; accepted: text with at least one token"
    assert [row["error"] is None for row in found] == [row["label"] is not None for row in found]


def test_a_text_that_is_too_long_has_no_answer_but_a_reason(run: Score, rows: Path, tmp_path: Path) -> None:
    run(rows, max_characters=30)
    for row in read(tmp_path / "out"):
        if len(row["text"] or "") > 30:
            assert row["label"] is None
            assert row["error"].endswith("characters; accepted: 30 or fewer, or --max-characters")


def test_a_row_has_all_its_reasons(run: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unroll.inference.scoring.json_input.SAMPLE", 1)
    (tmp_path / "in.jsonl").write_text(
        '{"text": "good", "n": 1}\n{"text": "bad bad", "n": "x"}\n{"text": "", "n": ""}\n'
    )
    run(tmp_path / "in.jsonl", max_characters=5)
    left_out = "n is not of the type int64: left out"
    assert [row["error"] for row in read(tmp_path / "out")] == [
        None,
        f"line 2: {left_out}; text has 7 characters; accepted: 5 or fewer, or --max-characters",
        f"line 3: {left_out}; text is empty: ''; accepted: text with at least one token",
    ]


def test_entities_are_lists_of_structs(run: Score, tagger: Path, tmp_path: Path) -> None:
    given = [["Ada", "Brown", "met", "us"], ["in", "Lima"], [], None]
    pq.write_table(pa.table({"tokens": given, "text": ["a"] * 4}), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", model=tagger, columns=("text",), probabilities=True)
    found = read(tmp_path / "out")
    expected = Predictor.load(tagger).predict(given, errors="coerce", probabilities=True)
    assert [row["labels"] for row in found] == [it["labels"] for it in expected]
    assert [[entity | {"probability": None} for entity in row["entities"] or []] for row in found] == [
        [entity | {"probability": None} for entity in it["entities"] or []] for it in expected
    ]
    assert [row["error"] is None for row in found] == [True, True, False, False]
    assert list(found[0]) == ["text", "tokens", "labels", "probabilities", "entities", "error"]


def test_tokens_of_the_input_are_not_repeated(run: Score, tagger: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"tokens": ["Ada", "met", "us"]}\n{"tokens": []}\n')
    run(tmp_path / "in.jsonl", model=tagger)
    first, second = read(tmp_path / "out")
    assert list(first) == ["tokens", "labels", "entities", "error"]
    assert (first["tokens"], len(first["labels"])) == (["Ada", "met", "us"], 3)
    assert (second["tokens"], second["labels"]) == ([], None)


def test_large_lists_of_tokens_are_found_and_not_repeated(run: Score, tagger: Path, tmp_path: Path) -> None:
    tokens = pa.array([["Ada", "met", "us"]], pa.large_list(pa.large_string()))
    pq.write_table(pa.table({"tokens": tokens}), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", model=tagger)
    (row,) = read(tmp_path / "out")
    assert list(row) == ["tokens", "labels", "entities", "error"]
    assert row["error"] is None


def test_a_complete_output_is_left_as_it_is(run: Score, rows: Path, tmp_path: Path) -> None:
    run(rows)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    done = run(rows)
    assert (done.rows, done.scored) == (60, 0)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()} == before


def test_an_output_of_something_else_is_refused(
    run: Score, rows: Path, classifier: Path, tagger: Path, tmp_path: Path
) -> None:
    run(rows)
    with pytest.raises(ValueError, match=r"out exists with other settings \(probabilities False, not True\); accepted"):
        run(rows, probabilities=True)
    with pytest.raises(ValueError, match=r"out exists with other settings \(model '\w+', not '\w+'\)"):
        run(rows, model=tagger)
    os.utime(rows, ns=(1, 1))
    with pytest.raises(ValueError, match=r"out exists with other settings \(input\); accepted: another --output"):
        run(rows)
    (tmp_path / "notes.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"notes.csv exists and is not by unroll score; accepted: another --output"):
        run(rows, output="notes.csv")
    assert (tmp_path / "notes.csv").read_text() == "mine"
    assert not (tmp_path / ".notes.csv.running").exists()


def test_an_unfinished_output_of_something_else_is_refused(
    run: Score, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engines.ENGINES, "local", interrupted_after(2))
    with pytest.raises(KeyboardInterrupt):
        run(rows, part_bytes=MANY)
    with pytest.raises(ValueError, match=r"out has been begun with other settings \(prefix '', not 'x_'\); accepted:"):
        run(rows, part_bytes=MANY, prefix="x_")


def test_an_output_of_something_else_that_has_no_part_yet_is_replaced(
    run: Score, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> Any:
        yield Done(0, error="the model cannot be used")

    monkeypatch.setitem(engines.ENGINES, "local", failing)
    with pytest.raises(ValueError, match="the model cannot be used"):
        run(rows)
    monkeypatch.setitem(engines.ENGINES, "local", in_this_process)
    run(rows, prefix="x_")
    assert not list(tmp_path.glob(".out.parts-*"))


def interrupted_after(count: int) -> Callable[..., Any]:
    def engine(*given: Any) -> Any:
        for done, event in enumerate(in_this_process(*given)):
            if done == count:
                raise KeyboardInterrupt
            yield event

    return engine


def test_parts_that_are_there_are_not_scored_again_and_damaged_ones_are(
    run: Score, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engines.ENGINES, "local", interrupted_after(3))
    with pytest.raises(KeyboardInterrupt):
        run(rows, part_bytes=MANY)
    (work,) = tmp_path.glob(".out.parts-*")
    (work / "part-000001.parquet").write_bytes(b"PAR1 half")
    monkeypatch.setitem(engines.ENGINES, "local", in_this_process)
    said: list[str] = []
    done = run(rows, part_bytes=MANY, report=said.append)
    assert said == [f"{tmp_path / 'out'}: 3 of 20 parts with {60 - done.scored} rows are there"]
    assert [row["id"] for row in read(tmp_path / "out")] == list(range(60))


@pytest.mark.parametrize("output", ["out", "out.csv"])
def test_a_kill_at_any_step_loses_and_repeats_nothing(
    output: str, run: Score, rows: Path, classifier: Path, tmp_path: Path
) -> None:
    """The process is killed before it replaces a file or folder, whichever; then the same call goes on."""
    context = forking("tests.inference.scoring.here", "unroll.inference.onnx_model")
    for step in range(100):
        arguments = (step, str(rows), str(tmp_path / output), str(classifier))
        process = context.Process(target=score_until, args=arguments)
        process.start()
        process.join()
        done = run(rows, output=output, part_bytes=HALF)
        assert done.rows == 60
        if output == "out":
            found = [row["id"] for row in read(tmp_path / output)]
        else:
            found = [int(row["id"]) for row in csv.DictReader((tmp_path / output).open(newline=""))]
        assert found == list(range(60))
        assert not list(tmp_path.glob(".*parts*"))
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        delete(tmp_path / output)
    assert step > 5


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_one_file_has_the_rows_of_all_parts(name: str, run: Score, rows: Path, tmp_path: Path) -> None:
    run(rows, output=name, part_bytes=MANY)
    run(rows, part_bytes=MANY)
    expected = read(tmp_path / "out")
    with (tmp_path / name).open(newline="") as file:
        if name.endswith("csv"):
            shown = [{key: "" if it is None else str(it) for key, it in row.items()} for row in expected]
            assert list(csv.DictReader(file)) == shown
        elif name.endswith("jsonl"):
            assert [json.loads(line) for line in file] == expected
        else:
            assert pq.read_table(tmp_path / name).to_pylist() == expected
    assert run(rows, output=name, part_bytes=MANY).scored == 0


def test_json_lines_come_back_as_they_were(run: Score, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "good", "o": {"a": [1, None]}, "m": 1}, {"text": "é😀", "o": None, "m": "x"}]
    (tmp_path / "in.jsonl").write_text("".join(map("{}\n".format, map(json.dumps, rows))))
    run(tmp_path / "in.jsonl", output="out.jsonl")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{name: row[name] for name in ("text", "o", "m")} for row in found] == rows


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_values_that_json_has_not_are_written_as_text(name: str, run: Score, tmp_path: Path) -> None:
    day = datetime.date(2026, 1, 2)
    columns = {"text": ["good"], "day": [day], "x": [math.nan], "raw": [b"\0\xff"], "list": [[1.5, math.inf]]}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", output=name)
    with (tmp_path / name).open(newline="") as file:
        (row,) = csv.DictReader(file) if name.endswith("csv") else map(json.loads, file)
    assert (row["day"], row["raw"]) == ("2026-01-02", "AP8=")
    assert row["list"] == ("[1.5, null]" if name.endswith("csv") else [1.5, None])
    assert row["x"] == ("nan" if name.endswith("csv") else None)


def test_files_of_a_folder_are_scored_in_the_order_of_their_names(run: Score, tmp_path: Path) -> None:
    (tmp_path / "in" / "b").mkdir(parents=True)
    (tmp_path / "in" / "b" / "2.csv").write_text("text\ntwo\n")
    (tmp_path / "in" / "a.csv").write_text("text\none\n")
    (tmp_path / "in" / "_draft.csv").write_text("text\nthree\n")
    run(tmp_path / "in")
    assert [row["text"] for row in read(tmp_path / "out")] == ["one", "two"]


def test_an_input_without_rows_gives_the_columns(run: Score, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,id\n")
    assert run(tmp_path / "in.csv", output="out.csv").rows == 0
    assert (tmp_path / "out.csv").read_text() == "text,id,label,probability,error\n"


def test_a_model_that_is_replaced_meanwhile_is_not_mixed_in(
    run: Score, rows: Path, classifier: Path, tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_folder(classifier, tmp_path / "model")

    def replacing(*given: Any) -> Any:
        copy_folder(tagger, tmp_path / "model")
        yield from in_this_process(*given)

    monkeypatch.setitem(engines.ENGINES, "local", replacing)
    run(rows, model=tmp_path / "model")
    assert read(tmp_path / "out")[0]["label"] in ("negative", "positive")
    with pytest.raises(ValueError, match="exists with other settings"):
        run(rows, model=tmp_path / "model")


@pytest.mark.parametrize("change", [lambda file: os.utime(file, ns=(1, 1)), delete])
def test_an_input_that_changes_meanwhile_is_an_error(
    change: Callable[[Path], None], run: Score, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(*given: Any) -> Any:
        yield from in_this_process(*given)
        change(rows)

    monkeypatch.setitem(engines.ENGINES, "local", changing)
    with pytest.raises(ValueError, match="the input has changed while it was scored; delete"):
        run(rows)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "body"}, "--text=body: no such column; the input has id, text"),
        ({"text": "id"}, "the column id is of the type int64; accepted: texts"),
        ({"columns": ("ids",)}, "--columns=ids: no such column; the input has id, text"),
        ({"max_characters": 0}, "--max-characters=0; accepted: 1 or more"),
        ({"output": "rows.parquet/.."}, "--output={}/rows.parquet/..; accepted: a path that ends with the name of"),
        ({"output": "file/out"}, "{}/file is a file; accepted: a folder, or a path that does not exist"),
        (
            {"output": "scored.xlsx"},
            "--output={}/scored.xlsx: unknown format; accepted: .parquet, .csv, .jsonl, or the",
        ),
        ({"output": "scored.csv.gz"}, "--output={}/scored.csv.gz: unknown format; accepted: .parquet, .csv, .jsonl"),
        ({"output": "rows.parquet"}, "--output={}/rows.parquet is a file of the input; accepted: another one"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_left(
    options: dict[str, Any], message: str, run: Score, rows: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError) as error:
        run(rows, **options)
    assert str(error.value).startswith(message.format(tmp_path))
    assert {it.name for it in tmp_path.iterdir()} <= {"file", "rows.parquet", ".out.running"}


def test_columns_that_are_called_as_those_of_the_answer_are_refused_without_a_prefix(
    run: Score, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("text,label\ngood,1\n")
    with pytest.raises(ValueError, match="the input has a column label, as the output; accepted: --prefix=predicted_"):
        run(tmp_path / "in.csv")
    run(tmp_path / "in.csv", prefix="predicted_")
    (row,) = read(tmp_path / "out")
    assert list(row) == ["text", "label", "predicted_label", "predicted_probability", "predicted_error"]


def test_two_commands_do_not_write_the_same_output(run: Score, rows: Path, tmp_path: Path) -> None:
    with output_lock(tmp_path / "out"), pytest.raises(ValueError, match=r"another process writes .*out; accepted:"):
        run(rows)


def test_an_output_within_the_input_is_refused(run: Score, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is in the input .*; accepted: a place outside of it"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("given", "output"),
    [("*.parquet", "scored.parquet"), ("**/rows*", "a/rows"), ("r*", "rest/scored"), ("*.[jp]*", "scored.csv")],
)
def test_an_output_that_the_pattern_of_the_input_would_find_is_refused(
    given: str, output: str, run: Score, rows: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"is in the input .*; accepted: a place outside of it"):
        run(tmp_path / given, output=output)
    assert run(tmp_path / given, output="b/scored").rows == 60
    assert run(tmp_path / given, output="b/scored").scored == 0
