"""Every command of the README and of CONTRIBUTING is run, here or in the tests listed in RUN_ELSEWHERE."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.loopback_hub import Hub
from tests.pipeline.conftest import PROJECT, Project
from tests.postgresql import free_port
from unroll.files import read_json

pytestmark = pytest.mark.xdist_group("pipeline")  # one process: the project is reproduced once

SERVE = "mlflow models serve --model-uri models:/demo_reviews@champion --env-manager local --port 5001"
UNROLL_SERVE = "unroll serve demo_reviews@champion --port 8000"
JSON = "-H 'Content-Type: application/json' -d"
ASK = f"""curl localhost:5001/invocations {JSON} '{{"inputs": ["Not bad at all."]}}'"""
UNROLL_ASK = f"""curl localhost:8000/predict {JSON} '{{"texts": ["Not bad at all."]}}'"""
UNROLL_PLAY = "unroll play models/demo_reviews/elman/1 models/demo_reviews/lstm/1"
JOBLIB = "python pipelines/train.py -m hydra/launcher=joblib model=gru,lstm seed=1,2,3"
RUN_ELSEWHERE = {
    "make test": "this is it",
    "make lint": ".ci/run",
    "make repro": "test_make_repro_waits_for_another_dvc_and_prints_what_to_do_next",
    "make ui": "tests/pipeline/test_ui.py",
    SERVE: "test_the_champion_is_served",
    ASK: "test_the_champion_is_served",
    UNROLL_SERVE: "test_the_champion_is_served_by_unroll",
    UNROLL_ASK: "test_the_champion_is_served_by_unroll",
    UNROLL_PLAY: "tests/test_cli_play.py",
    "python pipelines/rollback.py dataset=demo_reviews": "test_repro.py: here no champion was before",
    JOBLIB: "test_sweeps.py",
    "source .venv/bin/activate": "the environment of these tests",
}
ROTTEN_TOMATOES = "aa13bc287fa6fcab6daf52f0dfb9994269ffea28"


def commands(document: str) -> list[str]:
    """The lines of a document's sh blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / document).read_text(), re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and line not in RUN_ELSEWHERE]


COMMANDS = [*commands("README.md"), *commands("CONTRIBUTING.md")]
ON_THE_HUB = [command for command in COMMANDS if "dataset=rotten_tomatoes" in command]
ON_ONES_OWN = [command for command in COMMANDS if "dataset=complaints" in command and command.startswith("for")]


def test_no_command_is_excused_that_the_documents_do_not_have() -> None:
    documents = (PROJECT / "README.md").read_text() + (PROJECT / "CONTRIBUTING.md").read_text()
    assert [command for command in RUN_ELSEWHERE if command not in documents] == []


@pytest.mark.parametrize("command", [it for it in COMMANDS if it not in ON_THE_HUB + ON_ONES_OWN])
def test_a_command_runs(reproduced: Project, command: str) -> None:
    short = {"seed=1,2,3": "seed=1", "sweep=encoder": "sweep=encoder hydra.sweeper.n_trials=2"}
    short["pretraining=vectors"] = "pretraining=vectors pretraining.epochs=1"
    for long, replacement in short.items():
        command = command.replace(long, replacement)
    reproduced.ok(command)


@pytest.fixture
def hub(tmp_path: Path, write_dataset: Callable[..., Path]) -> Iterator[Hub]:
    """A Hub that has a small made-up dataset in place of rotten_tomatoes."""
    rows = {"text": [f"{word} number {i}" for i in range(20) for word in ("good", "bad")], "label": [1, 0] * 20}
    splits = dict.fromkeys(("train", "validation", "test"), rows)
    folder = write_dataset(tmp_path / "rotten", splits, {"label": ["neg", "pos"]})
    with Hub({"cornell-movie-review-data/rotten_tomatoes": {ROTTEN_TOMATOES: folder}}).serving() as hub:
        yield hub


def test_the_commands_for_a_hub_dataset_run_one_after_the_other(reproduced: Project, hub: Hub, tmp_path: Path) -> None:
    assert len(ON_THE_HUB) == 6
    for command in ON_THE_HUB:
        reproduced.ok(command, HF_ENDPOINT=hub.endpoint, HF_HOME=str(tmp_path / "cache"))


def test_ones_own_dataset_and_model_are_the_readmes_files(
    reproduced: Project, tmp_path: Path, write_dataset: Callable[..., Path]
) -> None:
    """Trained by hand, then committed, then registered; and trained again with the same results."""
    files = re.findall(r"```yaml\n# (conf/\w+/\w+\.yaml)\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert [name for name, _ in files] == ["conf/model/my_gru.yaml", "conf/dataset/complaints.yaml"]
    for name, content in files:
        (reproduced.root / name).write_text(content)
    rows = {"text": ["my parcel is late", "the bill is wrong"] * 20, "label": ["delivery", "billing"] * 20}
    write_dataset(reproduced.root / "data/complaints", {"train": rows, "test": rows})
    reproduced.ok("python pipelines/download.py dataset=complaints")
    assert "4 rows" in reproduced.ok("python pipelines/prepare.py dataset=complaints")
    printed = "".join(reproduced.ok(loop.replace("in 1 2 3;", "in 1 2;")) for loop in ON_ONES_OWN)
    names = "conf/dataset/complaints.yaml, conf/model/my_gru.yaml"
    assert printed.count(f"not committed: {names}; to register the model, commit them as they are now") == 2
    assert printed.count("val/accuracy") > 2 and printed.count("test/accuracy") == 2
    register = "python pipelines/register.py dataset=complaints"
    assert f"not committed: {names}. " in reproduced.run(register).stderr
    reproduced.ok("git add conf")
    reproduced.commit()
    try:
        assert "complaints version 1: my_gru (mean val/accuracy " in reproduced.ok(register)
        run = read_json(reproduced.root / "models/complaints/my_gru/2/run.json")["run_id"]
        assert f"run {run} is reproduced: " in reproduced.ok(f"python pipelines/reproduce.py run={run}")
    finally:
        reproduced.ok("git reset -q --hard HEAD~1")


def test_the_python_example_runs(reproduced: Project) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    short = example.replace("epochs=4", "epochs=1").replace("hidden_size=64", "hidden_size=8")
    assert short.count("=1") == 2 and "=8" in short  # else it would take long
    (reproduced.root / "example.py").write_text(short)
    *_, accuracy, prediction = reproduced.ok("python example.py").splitlines()
    assert 0 <= float(accuracy) <= 1
    assert prediction.startswith("[{'label': '")
    shutil.rmtree(reproduced.root / "runs")
    (reproduced.root / "example.py").unlink()


HOLD_LOCK = """
import time
from dvc.repo import Repo
with Repo().lock:
    print("held", flush=True)
    time.sleep(10)
"""


def test_make_repro_waits_for_another_dvc_and_prints_what_to_do_next(reproduced: Project) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK], cwd=reproduced.root, env=reproduced.environment, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        printed = reproduced.ok("make repro")
    assert "Stage 'prepare-labeling@demo_entities' didn't change, skipping" in printed
    for dataset in ("demo_reviews", "demo_entities"):
        assert f"{dataset}: reports/{dataset}/index.html" in printed
        assert f"models:/{dataset}@champion" in printed
    assert "make ui" in printed


def test_make_repro_without_a_commit_prints_what_to_do(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.ready").touch()
    done = subprocess.run(["make", "repro"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "git init && git add --all && git commit -m start" in done.stderr
    assert "Traceback" not in done.stderr


def test_make_names_the_pythons_that_fit(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    done = subprocess.run(["make", "repro", "PYTHON=no-python"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "error: no Python 3.11 to 3.14 among: no-python; accepted: make PYTHON=" in done.stderr


@pytest.mark.parametrize("made_in", ["here", "elsewhere"])
def test_make_installs_again_in_a_folder_that_was_moved(tmp_path: Path, made_in: str) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.ready").write_text(f"{tmp_path if made_in == 'here' else '/old/project'}\n")
    done = subprocess.run(["make", "repro", "PYTHON=no-python"], cwd=tmp_path, capture_output=True, text=True)
    assert ("error: no Python" in done.stderr) == (made_in == "elsewhere")
    assert ("git commit -m start" in done.stderr) == (made_in == "here")


def test_the_champion_is_served(reproduced: Project) -> None:
    port = free_port()
    command = SERVE.replace("5001", str(port)).split()
    environment = {**reproduced.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{reproduced.root}/mlflow.db"}
    server = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        answer = _ask(f"http://127.0.0.1:{port}/invocations", body_of(ASK), seconds=1800)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    (prediction,) = answer["predictions"]
    assert prediction["label"] in ("negative", "positive")


def test_the_champion_is_served_by_unroll(reproduced: Project) -> None:
    command = UNROLL_SERVE.replace("unroll", f"{sys.executable} -m unroll.cli", 1).replace("8000", "0").split()
    environment = {**reproduced.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{reproduced.root}/mlflow.db"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"serving demo_reviews, version \d+ at (\S+)", server.stdout.readline())
            assert found
            (prediction,) = _ask(f"{found[1]}/predict", body_of(UNROLL_ASK), seconds=60)["predictions"]
            assert prediction["label"] in ("negative", "positive")
        finally:
            server.terminate()


def body_of(command: str) -> dict[str, object]:
    """What a command of curl posts."""
    body: dict[str, object] = json.loads(command.split("'")[-2])
    return body


def _ask(address: str, question: dict[str, object], seconds: float) -> dict[str, list[dict[str, object]]]:
    """Post the question as soon as the server listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = requests.post(address, json=question, timeout=600)
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            assert answer.ok, answer.text
            answered: dict[str, list[dict[str, object]]] = answer.json()
            return answered
