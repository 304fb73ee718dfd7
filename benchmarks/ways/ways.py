"""The ways of predicting: each is a function from a case to its answers, in the order of the rows."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import registered
from benchmarks.serving.server import post, serving
from benchmarks.ways.cases import Case
from unroll.data.tokens import TEXT, TOKENS
from unroll.inference.predictor import Predictor
from unroll.loading import load

Answers = list[dict[str, Any]]
REGISTERED = f"{registered.NAME}@champion"
PER_REQUEST = 100  # rows


def in_pytorch(case: Case) -> Answers:
    return Predictor.load(case.trained).predict(case.rows, probabilities=True)


def in_onnx(case: Case) -> Answers:
    return Predictor.load(case.exported).predict(case.rows, probabilities=True)


def loaded(case: Case) -> Answers:
    return load(REGISTERED).predict(case.rows, probabilities=True)


def pyfunc(case: Case) -> Answers:
    model = mlflow.pyfunc.load_model(f"models:/{REGISTERED}")
    answers: Answers = model.predict(case.columns, params={"probabilities": True})
    return answers


def in_mlflow_server(case: Case) -> Answers:
    """As a data frame, since MLflow makes arrays of other forms, which lists of tokens of several lengths are not."""
    with registered.serving(Path(sys.executable), case.work) as (address, _):
        frame = {"columns": list(case.columns), "data": list(zip(*case.columns.values(), strict=True))}
        body = {"dataframe_split": frame, "params": {"probabilities": True}}
        status, found = post(address, "/invocations", body)
    if status != 200:
        raise RuntimeError(f"mlflow models serve: status {status}: {found}")
    answers: Answers = found["predictions"]
    return answers


def in_server(case: Case) -> Answers:
    """The server answers without the probabilities of other labels."""
    answers: Answers = []
    with serving(REGISTERED) as server:
        for start in range(0, len(case.rows), PER_REQUEST):
            part = {name: column[start : start + PER_REQUEST] for name, column in case.columns.items()}
            body = {name if name == TOKENS else f"{name}s": column for name, column in part.items()}
            status, found = post(server.address, "/predict", body)
            if status != 200:
                raise RuntimeError(f"unroll serve: status {status}: {found}")
            answers += found["predictions"]
    return answers


def predicted(kind: str, standard_input: bool = False) -> Callable[[Case], Answers]:
    """``unroll predict`` of a file of this kind."""

    def way(case: Case) -> Answers:
        file = write(case, kind)
        given = ["--file=-", f"--format={kind}"] if standard_input else [f"--file={file}"]
        command = [sys.executable, "-m", "unroll.cli", "predict", f"--model={case.exported}", "--probabilities", *given]
        with file.open("rb") as content:
            done = subprocess.run(command, stdin=content, stdout=subprocess.PIPE, check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]  # bytes: text has more kinds of line ends
        if TOKENS not in case.columns:
            texts = [answer.pop("text") for answer in answers]
            if texts != [list(row) if isinstance(row, tuple) else row for row in case.rows]:
                raise RuntimeError(f"{' '.join(command)}: other texts than those of the file")
        return answers

    return way


def scored(engine: str, kind: str = ".parquet") -> Callable[[Case], Answers]:
    """``unroll score`` of a file of this kind."""

    def way(case: Case) -> Answers:
        output = case.work / f"scored-{engine}{kind.replace('.', '-')}-{'-'.join(case.columns)}"
        command = [sys.executable, "-m", "unroll.cli", "score", str(write(case, kind)), f"--output={output}"]
        command += [f"--model={case.exported}", f"--engine={engine}", "--columns=", "--probabilities"]
        command += ["--address=local[2]"] * (engine == "spark")
        environment = os.environ | {"RAY_AUTH_MODE": "disabled"}  # or Ray writes into the home folder
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        answers = [row for part in sorted(output.glob("part-*")) for row in pq.read_table(part).to_pylist()]
        if problems := [it for answer in answers if (it := answer.pop("error"))]:
            raise RuntimeError(f"unroll score: {problems[0]}")
        return answers

    return way


def write(case: Case, kind: str) -> Path:
    """Write the rows to a file; return its path."""
    file = case.work / f"rows-{'-'.join(case.columns)}{kind}"
    names, rows = list(case.columns), list(zip(*case.columns.values(), strict=True))
    if kind == ".parquet":
        pq.write_table(pa.table(case.columns), file)
    elif kind == ".txt":
        file.write_text("".join(f"{text}\n" for (text,) in rows))
    elif kind == ".jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]
        file.write_text("".join(f"{line}\n" for line in lines))
    else:
        with file.open("w", newline="") as output:
            csv.writer(output, delimiter=";").writerows([["id", *names], *([i, *row] for i, row in enumerate(rows))])
    return file


WAYS: dict[str, Callable[[Case], Answers]] = {
    "Predictor, PyTorch": in_pytorch,
    "Predictor, ONNX": in_onnx,
    "unroll.load, registered": loaded,
    "unroll predict, standard input": predicted(".jsonl", standard_input=True),
    "unroll predict, .txt": predicted(".txt"),
    "unroll predict, .csv": predicted(".csv"),
    "unroll predict, .jsonl": predicted(".jsonl"),
    "unroll predict, .parquet": predicted(".parquet"),
    "mlflow.pyfunc, registered": pyfunc,
    "mlflow models serve": in_mlflow_server,
    "unroll serve": in_server,
    "unroll score, .csv": scored("local", ".csv"),
    "unroll score, .parquet": scored("local"),
    "unroll score, Spark": scored("spark"),
    "unroll score, Ray": scored("ray"),
}


def why_not(way: str, case: Case) -> str | None:
    """Why a way is not taken for a case; None if it is."""
    kind, package = way.rpartition(" ")[2], {"Spark": "pyspark", "Ray": "ray"}.get(way.rpartition(" ")[2])
    if package and find_spec(package) is None:
        return f"{package} is not installed"
    return None if kind in kinds(case) or not kind.startswith(".") else "not such rows"


def kinds(case: Case) -> list[str]:
    """The kinds of files that can have the rows: a line is a single text, and a cell no list."""
    is_table = TOKENS not in case.columns
    return [".txt"] * (list(case.columns) == [TEXT]) + [".csv"] * is_table + [".jsonl", ".parquet"]
