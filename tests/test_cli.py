"""The command `unroll`, in this process and in a new one."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import unroll
from tests.tiny import save_baseline, save_random_model
from unroll import cli
from unroll.data.prepared import PreparedData
from unroll.inference.exporting.export import export
from unroll.inference.predictor import Predictor

UNROLL = [sys.executable, "-m", "unroll.cli"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def exported(reviews: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export(save_random_model(reviews, folder / "model", "gru"), folder / "onnx")
    return folder / "onnx"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command with arguments; return its status, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unroll", *map(str, arguments)])
        status: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
        written = capsys.readouterr()
        if isinstance(status, str):  # Python prints it
            return 1, written.out, written.err + status
        return status or 0, written.out, written.err

    return call


def test_texts_are_answered_as_json_lines_where_nobody_looks(run: Run, exported: Path) -> None:
    texts = ["not good", "very bad"]
    status, output, errors = run("predict", *texts, "--model", exported)
    assert (status, errors) == (0, "")
    expected = [{"text": text, **it} for text, it in zip(texts, Predictor.load(exported).predict(texts), strict=True)]
    assert [json.loads(line) for line in output.splitlines()] == expected


def test_probabilities_of_all_labels_are_added(run: Run, exported: Path) -> None:
    _, output, _ = run("predict", "not good", "--model", exported, "--probabilities")
    assert set(json.loads(output)["probabilities"]) == {"negative", "positive"}


def test_a_file_is_answered_line_by_line_and_what_is_unusable_is_counted(
    run: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "CHUNK", 2)
    (tmp_path / "new.txt").write_text("good\n\nbad\nvery good\n")
    status, output, errors = run("predict", "--file", tmp_path / "new.txt", "--model", exported)
    rows = [json.loads(line) for line in output.splitlines()]
    assert status == 0
    assert [row["text"] for row in rows] == ["good", "", "bad", "very good"]
    assert [row["label"] is None for row in rows] == [False, True, False, False]
    assert errors.startswith("1 of 4 texts cannot be used by this model, their values are null: text 2 is empty: ''; ")


def test_half_a_character_is_unusable_and_valid_json(run: Run, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text('{"text": "good \\ud83d"}\n{"text": "good 😀"}\n')
    status, output, errors = run("predict", "--file", tmp_path / "new.jsonl", "--model", exported)
    half, whole = [json.loads(line) for line in output.splitlines()]
    assert (status, half["text"], half["label"]) == (0, "good \ud83d", None)
    assert whole["label"] is not None and "😀" in output
    assert "text 1 contains half a character (a surrogate): 'good \\ud83d'; accepted: whole characters" in errors


def test_the_text_of_every_answer_is_printed_once(run: Run, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text('["good", "bad"]\nnull\n{"text": ["good"]}\n')
    _, output, _ = run("predict", "--file", tmp_path / "new.jsonl", "--model", exported)
    assert [json.loads(line)["text"] for line in output.splitlines()] == [["good", "bad"], None, ["good"]]


def test_a_run_folder_stands_for_its_model(run: Run, reviews: PreparedData, tmp_path: Path) -> None:
    save_random_model(reviews, tmp_path / "run" / "model", "gru")
    assert run("predict", "good", "--model", tmp_path / "run")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "good", "--model", "nowhere"], "error: nowhere: no such folder; accepted: a run folder"),
        (["predict", "good", "--file", "a.txt", "--model", "x"], "error: TEXT and --file=a.txt; accepted: one of them"),
        (["predict", "good", "--format", "csv", "--model", "x"], "error: TEXT and --format=csv; accepted: one of them"),
        (["predict", "good", "--batch-size", "0", "--model", "x"], "error: --batch-size=0; accepted: 1 or more"),
        (["predict", "--file", "no.txt", "--model", "x"], "error: no.txt: no such file; accepted: .txt"),
        (["predict", "caf\udce9", "--model", "{exported}"], "error: TEXT 'caf\\udce9' is not UTF-8 (unexpected end of"),
        (
            ["predict", "good", "--model", "{exported}/config.json"],
            "error: {exported}/config.json: a file; accepted: a",
        ),
        (["export", "{exported}"], "error: the model in {exported} is exported; accepted: one with its weights"),
        (
            ["export", "nowhere", "--output", "x"],
            "error: nowhere: no such folder; accepted: a run folder such as models/DATASET/MODEL/SEED, or a model",
        ),
        (["export", "nowhere", "--int8"], "error: --int8 and --data belong together; accepted: both, or none of them"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, run: Run, exported: Path) -> None:
    status, output, errors = run(*(it.format(exported=exported) for it in arguments))
    assert status == 1
    assert output == ""
    assert errors.startswith(message.format(exported=exported))
    assert "\n" not in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predct"], "error: argument command: invalid choice: 'predct' (choose from "),
        (
            ["predict", "x", "--modle", "y"],
            "error: --modle: no such option (did you mean --model?); see unroll predict",
        ),
        (["serve", "x", "--port=abc"], "error: argument --port: invalid int value: 'abc'; see unroll serve --help"),
        (["score", "x.csv", "--model=y"], "error: the following arguments are required: --output; see unroll score"),
    ],
)
def test_mistakes_in_the_command_line_are_one_line_and_status_2(arguments: list[str], message: str, run: Run) -> None:
    status, output, errors = run(*arguments)
    assert (status, output) == (2, "")
    assert errors.startswith(message) and errors.count("\n") == 1 and errors.endswith(" --help\n")


def test_an_option_may_be_shortened_and_a_text_may_look_like_one(run: Run, exported: Path) -> None:
    status, output, _ = run("predict", "--mod", exported, "--js", "--", "--very", "good")
    assert status == 0
    assert [json.loads(line)["text"] for line in output.splitlines()] == ["--very", "good"]


def test_without_a_command_the_commands_are_listed(run: Run) -> None:
    status, output, errors = run()
    assert (status, output) == (2, "")
    assert all(f"\n    {name} " in errors for name in cli.COMMANDS)


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version")[:2] == (0, f"unroll {unroll.__version__}\n")


def test_a_model_that_does_not_exist_names_those_that_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("models/tiny/gru/1/model", "models/tiny/lstm/1/model", "onnx/tiny/gru/1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").touch()
    errors = run("predict", "good", "--model", "models/tiny/gru/2")[2]
    assert errors.endswith("; here: models/tiny/gru/1, models/tiny/lstm/1, onnx/tiny/gru/1")
    for seed in range(2, 9):
        (tmp_path / f"onnx/tiny/gru/{seed}").mkdir()
        (tmp_path / f"onnx/tiny/gru/{seed}/config.json").touch()
    assert run("serve", "models/tiny/gru/2")[2].endswith(" and 5 more")


def test_texts_and_answers_are_utf_8_in_every_locale(exported: Path) -> None:
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*UNROLL, "predict", "Zürich ÅÄÖ", "--model", str(exported)]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert json.loads(done.stdout.decode())["text"] == "Zürich ÅÄÖ"


@pytest.mark.parametrize("command", [[], ["predict"], ["export"], ["score"], ["play"]])
def test_help_fits_on_a_screen(command: list[str], run: Run) -> None:
    status, output, _ = run(*command, "--help")
    assert status == 0
    assert 5 < len(output.splitlines()) <= 24


def test_export_writes_where_the_run_was_and_says_the_size(
    run: Run, reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_random_model(reviews, tmp_path / "models" / "tiny" / "gru" / "1" / "model", "gru")
    status, output, _ = run("export", "models/tiny/gru/1")
    assert status == 0
    assert output.startswith("onnx/tiny/gru/1: 0.0 MB")
    assert Predictor.load("onnx/tiny/gru/1").predict(["good"])


def test_export_of_a_baseline_is_refused(run: Run, reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_baseline(reviews, tmp_path / "model", "majority")
    status, _, errors = run("export", folder, "--output", tmp_path / "onnx")
    assert status == 1
    assert errors == f"error: the model in {folder} is a Majority; accepted: a network"


def test_a_missing_package_is_one_line(run: Run, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unroll.inference.exporting.export", None)
    with pytest.raises(ModuleNotFoundError):  # of the package itself: a bug
        run("export", exported)
    monkeypatch.delitem(sys.modules, "unroll.inference.exporting.export")
    for name in [name for name in sys.modules if name.startswith("unroll.inference.exporting")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    status, _, errors = run("export", exported)
    assert (status, errors) == (1, "error: onnx is not installed; accepted: an installation of unroll[train]")


def test_a_pipe_is_answered_without_pytorch_and_telemetry(exported: Path, tmp_path: Path) -> None:
    code = "import sys; from unroll.cli import main; main(); print('torch' in sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "predict", "--model", str(exported)]
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    done = subprocess.run(command, input="good\nbad\n", capture_output=True, text=True, env=environment | places)
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["good", "bad"]
    assert done.stderr == "False\n"
    assert list(tmp_path.iterdir()) == []  # ONNX Runtime would record a session, and events to be sent


def test_a_reader_that_leaves_early_gets_no_traceback(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("good\n" * 5000)
    command = [*UNROLL, "predict", "--file", str(tmp_path / "new.txt"), "--model", str(exported)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_terminal_gets_lines_to_read(exported: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run([*UNROLL, "predict", "not good", "--model", str(exported)], stdout=theirs, stdin=theirs)
    os.close(theirs)
    assert done.returncode == 0
    assert os.read(ours, 1000).decode().strip().endswith("not good")
    os.close(ours)


def test_a_file_is_scored_in_processes_without_pytorch(exported: Path, tmp_path: Path) -> None:
    texts = ["not good", "", "very bad"] * 20
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in texts))
    output = tmp_path / "out.jsonl"
    code = "import sys; from unroll.cli import main; main(); print('torch' in sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "score", str(tmp_path / "in.jsonl"), f"--model={exported}"]
    command += [f"--output={output}", "--part-bytes=500", "--processes=2", "--columns=text"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "False\n")
    assert done.stdout.startswith(f"{output}: 60 rows, 60 in ")
    assert done.stdout.endswith(" rows/s; 20 have a reason in the column error\n")
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["text"] for row in found] == texts
    assert [row["label"] for row in found] == [
        it["label"] for it in Predictor.load(exported).predict(texts, errors="coerce")
    ]
    assert list(found[0]) == ["text", "label", "probability", "error"]
    again = subprocess.run([*command[:1], "-m", "unroll.cli", *command[3:]], capture_output=True, text=True)
    assert again.stdout == f"{output}: 60 rows, nothing to do; 20 have a reason in the column error\n"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input": "no.csv"}, "no.csv: no such file; accepted: files of one of .parquet, .csv, .tsv, .jsonl, .json"),
        ({"model": "nowhere"}, "nowhere: no such folder; accepted: a run folder such as models/DATASET/MODEL/SEED"),
        ({"model": "models:/x"}, "models:/x: not the name of a registered model; accepted: models:/NAME@ALIAS or"),
        ({"engine": "dask"}, "--engine='dask'; accepted: local, spark, ray"),
        ({"text": "body"}, "--text=body: no such column; the input has text"),
        ({"columns": "text,n"}, "--columns=n: no such column; the input has text"),
        ({"processes": "0"}, "--processes=0; accepted: 1 or more"),
        ({"output": "in.csv"}, "--output=in.csv is a file of the input; accepted: another one"),
    ],
)
def test_mistakes_in_scoring_are_one_line(
    changed: dict[str, str],
    message: str,
    run: Run,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("text\ngood\n")
    chosen = {"input": "in.csv", "model": str(exported), "output": "out"} | changed
    options = [f"--{name}={value}" for name, value in chosen.items() if name != "input"]
    status, output, errors = run("score", chosen["input"], *options)
    assert (status, output) == (1, "")
    assert errors.startswith(f"error: {message}")
    assert "\n" not in errors


@pytest.mark.parametrize("engine", ["ray", "spark"])
def test_an_engine_that_is_not_installed_names_its_extra(
    engine: str, run: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.csv").write_text("text\ngood\n")
    package = {"ray": "ray", "spark": "pyspark"}[engine]
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    options = [f"--model={exported}", f"--output={tmp_path / 'out'}", f"--engine={engine}"]
    status, _, errors = run("score", tmp_path / "in.csv", *options)
    assert (status, errors) == (1, f"error: {package} is not installed; accepted: an installation of unroll[{engine}]")


def test_scoring_without_pyarrow_names_its_extra(exported: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from unroll.cli import main; main()"
    command = [sys.executable, "-c", code, "score", "in.csv", f"--model={exported}", "--output=out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: pyarrow is not installed; accepted: an installation of unroll[score]\n"


def test_a_plain_installation_predicts_for_files_of_text_and_names_the_extra_for_parquet(
    exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("n;text\n1;not good\n")
    code = "import sys; sys.modules['pyarrow'] = None; from unroll.cli import main; main()"
    command = [sys.executable, "-c", code, "predict", f"--model={exported}", "--file"]
    done = subprocess.run([*command, str(tmp_path / "in.csv")], capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["text"]) == (0, "not good")
    (tmp_path / "in.parquet").touch()
    done = subprocess.run([*command, str(tmp_path / "in.parquet")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: pyarrow is not installed; accepted: an installation of unroll[score]\n"
