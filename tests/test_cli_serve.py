"""The command ``unroll``: mistakes are one line."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tests.tiny import save_random_model
from unroll import cli
from unroll.data.prepared import PreparedData
from unroll.inference.server.options import MEANING, TOKEN, ServerOptions


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The message that the command ends with."""
    monkeypatch.setattr(sys, "argv", ["unroll", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return str(ended.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/folder"], "no/such/folder: no such folder; accepted: a run folder .*NAME@champion or models:/"),
        (
            ["FOLDER"],
            "no trained model in this folder; accepted: .* python pipelines/train.py dataset=NAME model=NAME",
        ),
        (["FOLDER", "--port=70000"], "--port=70000; accepted: 0 to 65535"),
        (["FOLDER", "--workers=0"], "--workers=0; accepted: 1 or more"),
        (["models:/any@champion"], "no MLflow store: .*; accepted: MLFLOW_TRACKING_URI"),
        (["FOLDER", "--host=0.0.0.0"], f"--host=0.0.0.0: .*{TOKEN}.*--insecure"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_that_says_what_is_accepted(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("unroll.project.project_root", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)

    found = run(["serve", *(it.replace("FOLDER", str(tmp_path)) for it in arguments)], monkeypatch)

    assert re.search(f"^error: .*{message}", found) and "\n" not in found


def test_every_option_of_the_server_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", "--help"], monkeypatch) == "0"

    printed = capsys.readouterr().out
    for option in fields(ServerOptions):
        assert f"--{option.name.replace('_', '-')}" in printed
        assert option.metadata[MEANING] in " ".join(printed.split())
    assert "--insecure" in printed


def test_the_command_imports_no_library_for_models_before_it_needs_it() -> None:
    heavy = "torch mlflow hydra pandas numpy uvicorn"
    code = f"import sys, unroll.cli; print([it for it in '{heavy}'.split() if it in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_serve_answers_until_sigterm(reviews: PreparedData, tmp_path: Path) -> None:
    model = save_random_model(reviews, tmp_path / "model")
    command = [sys.executable, "-m", "unroll.cli", "serve", str(model), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            assert found
            fetched = subprocess.run(
                [sys.executable, "-c", FETCH, f"{found[0]}"], capture_output=True, text=True, check=True
            )
            assert re.match(r"\{'predictions': \[\{'label': '(positive|negative)', 'probability': ", fetched.stdout)
            assert "unroll_texts_total 1.0" in fetched.stdout
            server.send_signal(signal.SIGTERM)
            assert server.wait() == 0
        finally:
            server.kill()


FETCH = """
import json, sys, urllib.request
kind = {"content-type": "application/json"}
request = urllib.request.Request(f"{sys.argv[1]}/predict", b'{"text": "not good"}', kind)
print(json.load(urllib.request.urlopen(request)))
print(urllib.request.urlopen(f"{sys.argv[1]}/metrics").read().decode())
"""
