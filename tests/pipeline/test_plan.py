"""All runs of a plan, in a real project: a failing run, options that are not accepted, and interruptions."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from tests.fork_server import bin_folder
from tests.pipeline.conftest import Project

pytestmark = pytest.mark.xdist_group("prepared")  # one process: the project is made once

SEED = 11  # not used by other tests
EPOCHS = 20  # too many to end before the training is interrupted


@pytest.fixture
def plan(prepared_project: Project) -> Iterator[Path]:
    """A plan with another seed, whose runs are removed afterwards."""
    file = prepared_project.root / "other.yaml"
    yield file
    file.unlink()
    models = prepared_project.root / "models"
    for folder in [*models.glob(f"demo_reviews/*/{SEED}"), *models.glob(f".kept/demo_reviews/*/{SEED}")]:
        shutil.rmtree(folder)


def write_plan(file: Path, *models: str) -> None:
    file.write_text(yaml.safe_dump({"classification": {"models": list(models)}, "seeds": [SEED]}))


def test_a_model_that_fails_says_why_and_the_others_are_trained(prepared_project: Project, plan: Path) -> None:
    write_plan(plan, "crfsuite", "fcnn")
    done = prepared_project.run("python pipelines/train.py dataset=demo_reviews plan=other.yaml")
    assert done.returncode == 1
    assert re.search(rf"^\[./2\] crfsuite {SEED} +failed: model: CRFSuite is for labeling", done.stdout, re.MULTILINE)
    assert f"error: 1 of 2 runs failed, for the reasons above: crfsuite {SEED}" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (prepared_project.root / f"models/demo_reviews/fcnn/{SEED}/trained.json").is_file()


@pytest.mark.parametrize("option", ["model=gru", "++seed=4", "seed=3", "output=elsewhere", "run_name=mine"])
def test_an_option_of_a_single_run_is_refused(prepared_project: Project, option: str) -> None:
    done = prepared_project.run(f"python pipelines/train.py dataset=demo_reviews plan=params.yaml {option}")
    assert done.returncode == 1
    assert f"error: {option} and plan=" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("jobs=-1", "jobs=-1; accepted: a whole number from 1"),
        ("jobs=two", "jobs=two; accepted: a whole number from 1"),
        ("-m", "plan=… in a multirun (-m)"),
    ],
)
def test_options_that_do_not_fit_a_plan_are_refused(prepared_project: Project, options: str, said: str) -> None:
    done = prepared_project.run(f"python pipelines/train.py dataset=demo_reviews plan=params.yaml {options}")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_plan_that_is_not_there_is_named(prepared_project: Project) -> None:
    for stage in ("train", "evaluate"):
        done = prepared_project.run(f"python pipelines/{stage}.py dataset=demo_reviews plan=nowhere.yaml")
        assert done.returncode == 1
        assert "error: plan=nowhere.yaml: no such file" in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_plan_is_resumed_by_the_same_command(
    prepared_project: Project, plan: Path, number: signal.Signals, status: int
) -> None:
    write_plan(plan, "lstm")
    # A killed process leaves its workers behind only if it is the real one.
    python = sys.executable if number == signal.SIGKILL else str(bin_folder() / "python")
    command = [python, "pipelines/train.py", "dataset=demo_reviews", "plan=other.yaml", f"trainer.max_epochs={EPOCHS}"]
    command.append(f"patience={EPOCHS}")
    training = subprocess.Popen(
        command, cwd=prepared_project.root, env=prepared_project.environment, stdout=subprocess.PIPE, text=True
    )
    assert training.stdout is not None
    reader = Thread(target=training.stdout.read)  # so that the pipe does not fill up
    reader.start()
    folder = prepared_project.root / f"models/demo_reviews/lstm/{SEED}"
    while not (folder / "checkpoints/last.ckpt").exists():
        assert training.poll() is None
        time.sleep(0.02)
    workers = psutil.Process(training.pid).children(recursive=True)
    os.kill(training.pid, number)
    assert training.wait() == status
    if number == signal.SIGKILL:  # the workers were not interrupted, and would finish
        for worker in workers:
            worker.kill()
    psutil.wait_procs(workers)
    reader.join()

    begun = json.loads((folder / "checkpoints/run.json").read_text())["run_id"]
    client = MlflowClient(f"sqlite:///{prepared_project.root}/mlflow.db")
    if number != signal.SIGKILL:
        assert client.get_run(begun).info.status == "KILLED"
    printed = prepared_project.ok(" ".join(["python", *command[1:]]))
    assert f"models/demo_reviews/lstm/{SEED}: " in printed  # resumed
    assert f"epoch 1/{EPOCHS}" not in printed
    assert json.loads((folder / "run.json").read_text())["run_id"] == begun
    assert client.get_run(begun).info.status == "FINISHED"
    assert "0 of 1 runs to be trained" in prepared_project.ok(" ".join(["python", *command[1:]]))
