"""Every way of predicting gives the same answers; `python -m benchmarks.ways` also asks servers and clusters."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow.pyfunc.model import PythonModelContext

import unroll
from benchmarks.ways.cases import Case
from benchmarks.ways.comparison import Agreement, agreement
from benchmarks.ways.ways import kinds, write
from tests.inference.scoring.here import in_this_process
from tests.inference.server.running import running
from tests.tiny import random_model
from unroll import cli
from unroll.data.prepared import PreparedData
from unroll.inference.exporting.export import export
from unroll.inference.mlflow_model import TextModel
from unroll.inference.predictor import Predictor
from unroll.inference.scoring import engines
from unroll.inference.scoring.job import ScoreOptions
from unroll.inference.scoring.score import score
from unroll.inference.server.source import FolderSource, ServedModel
from unroll.inference.trained_model import TrainedModel

TEXTS = [
    "not good today",
    "very warm, so bad!",
    "Ada Brown met us in Paris",
    "the old plan; vote",
    '5" rain\there',
    "é",
    "warm\u2028and\x85good",  # ends of lines to str.splitlines, and to no reader of JSON lines
]
SENTENCES = [["Ada", "Brown", "met", "us", "in", "New York"], ["warm"], ["the", "lead", ","], ["Café", "Ghent", "'s"]]
COLUMNS: dict[str, dict[str, list[Any]]] = {
    "texts": {"text": TEXTS},
    "pairs": {"text": TEXTS, "text_pair": TEXTS[::-1]},
    "tokens": {"tokens": SENTENCES},
}
CASES = [
    ("reviews", "gru", "texts"),
    ("reviews", "bilstm", "pairs"),
    ("topics", "lstm", "texts"),
    ("entities", "bilstm_char_crf", "texts"),
    ("entities", "bilstm_char_crf", "tokens"),
    ("tags", "bilstm", "tokens"),
]


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    dataset, name, columns = request.param
    data: PreparedData = request.getfixturevalue(dataset)
    model = random_model(data, name)
    schema = replace(model.schema, is_pair=columns == "pairs")
    TrainedModel(model.model, schema, model.config).save(tmp_path / "trained")
    export(tmp_path / "trained", tmp_path / "onnx")
    return Case(dataset, tmp_path / "trained", tmp_path / "onnx", COLUMNS[columns], tmp_path)


def test_every_way_gives_the_same_answers(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(engines.ENGINES, "local", in_this_process)
    expected = Predictor.load(case.trained).predict(case.rows, probabilities=True)
    found: dict[str, list[Any]] = {}
    for folder in (case.exported, case.trained):
        found |= {f"unroll.load, {folder.name}": unroll.load(folder).predict(case.rows, probabilities=True)}
        found |= {f"mlflow.pyfunc, {folder.name}, {name}": it for name, it in by_mlflow(folder, case.columns).items()}
        for kind in kinds(case):
            file = write(case, kind)
            found[f"predict, {folder.name}, {kind}"] = by_command(file, folder, monkeypatch, capsys)
            if kind != ".txt":
                found[f"score, {folder.name}, {kind}"] = by_score(file, folder, case.work / f"{folder.name}-{kind[1:]}")
    found["serve"] = by_server(case)
    assert {way: agreement(expected, it).equal for way, it in found.items()} == dict.fromkeys(found, len(expected))


def by_command(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[Any]:
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["unroll", "predict", f"--model={folder}", f"--file={file}", "--probabilities"])
    cli.main()
    answers = [json.loads(line) for line in capsys.readouterr().out.encode().splitlines()]
    return [{name: it for name, it in answer.items() if name != "text"} for answer in answers]


def by_score(file: Path, folder: Path, output: Path) -> list[Any]:
    score(
        FolderSource(folder),
        [str(file)],
        output,
        ScoreOptions(columns=(), probabilities=True),
        Predictor,
        part_bytes=100,
    )
    rows = [row for part in sorted(output.glob("part-*")) for row in pq.read_table(part).to_pylist()]
    assert [row.pop("error") for row in rows] == [None] * len(rows)
    return rows


def by_mlflow(folder: Path, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    model = TextModel()
    model.load_context(PythonModelContext(artifacts={"model": str(folder)}, model_config={}))
    given = {
        "columns": columns,
        "rows": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    }
    context: Any = None
    found = {name: model.predict(context, it, {"probabilities": True}) for name, it in given.items()}
    frame = model.predict(context, pd.DataFrame(columns), {"probabilities": True})
    return found | {"frame": frame.to_dict("records")}


def by_server(case: Case) -> list[Any]:
    predictor = Predictor.load(case.exported)
    body: dict[str, Any] = {name if name == "tokens" else f"{name}s": column for name, column in case.columns.items()}
    with running(predictor, case.work / "facts") as server:
        server.service.serve(ServedModel("tiny", "1", case.exported), predictor)
        answers: list[Any] = server.ask(body | {"probabilities": True})[1]["predictions"]
    return answers


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Agreement(2, 2, 0.0)),
        ({"p": [0.5 + 1e-6, 0.1]}, Agreement(2, 2, pytest.approx(1e-6))),
        ({"p": [0.5 + 1e-4, 0.1]}, Agreement(2, 1, pytest.approx(1e-4))),
        ({"p": [0.5]}, Agreement(2, 1, 0.0)),
        ({"label": "b"}, Agreement(2, 1, 0.0)),
        ({"start": 2}, Agreement(2, 1, 0.0)),
        ({"start": None}, Agreement(2, 1, 0.0)),
        ({"other": 1}, Agreement(2, 1, 0.0)),
    ],
)
def test_answers_that_differ_are_found(changed: dict[str, Any], expected: Agreement) -> None:
    answer = {"label": "a", "start": 1, "p": [0.5, 0.1]}
    assert agreement([answer, answer], [answer, answer | changed]) == expected


@pytest.mark.parametrize("count", [0, 1, 3])
def test_answers_that_are_missing_or_too_many_are_found(count: int) -> None:
    assert not agreement([{"label": "a"}] * 2, [{"label": "a"}] * count).is_complete
