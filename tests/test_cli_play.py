"""The command ``unroll play``: mistakes are one line, and it serves until Ctrl-C."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.test_cli_serve import run
from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/folder"], "no/such/folder: no such folder; accepted: a run folder"),
        ([], "no trained network in models/DATASET/MODEL/SEED; accepted: .*pipelines/train.py"),
        (["MODEL", "--port=70000"], "--port=70000; accepted: 0 to 65535"),
        (["MODEL", "--host=0.0.0.0"], "--host=0.0.0.0: other machines could open the page; accepted: .*--insecure"),
        (
            ["MODEL", "--data=nowhere"],
            "nowhere contains no prepared data; run first: python pipelines/prepare.py dataset=NAME output=nowhere",
        ),
        (["models:/any@champion"], "no MLflow store: .*; accepted: MLFLOW_TRACKING_URI"),
        (["runs:/1"], "runs:/1: not the name of a registered model; accepted: models:/NAME@ALIAS"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_that_says_what_is_accepted(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("unroll.project.project_root", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)

    found = run(["play", *(it.replace("MODEL", str(tmp_path)) for it in arguments)], monkeypatch)

    assert re.search(f"^error: .*{message}", found) and "\n" not in found


def test_a_port_in_use_is_found_before_pytorch_is_imported(reviews: PreparedData, tmp_path: Path) -> None:
    model = save_random_model(reviews, tmp_path / "model")
    code = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules)); from unroll.cli import main; "
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", f"{code}main()", "play", str(model), f"--port={port}"]
        done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "False\n")
    assert done.stderr.startswith(f"error: --host=127.0.0.1 --port={port}: ") and done.stderr.count("\n") == 1


def test_the_page_is_served_until_ctrl_c(reviews: PreparedData, tmp_path: Path) -> None:
    model = save_random_model(reviews, tmp_path / "model")
    command = [sys.executable, "-m", "unroll.cli", "play", str(model), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None and server.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            assert found
            assert "<title>unroll play</title>" in urllib.request.urlopen(found[0]).read().decode()
            server.send_signal(signal.SIGINT)
            assert server.wait() == 0
            assert server.stderr.read() == ""
        finally:
            server.kill()
