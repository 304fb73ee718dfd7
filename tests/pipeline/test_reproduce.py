"""A run of the pipeline, trained again."""

import json
import re

import pytest
from mlflow import MlflowClient

from tests.pipeline.conftest import Project
from tests.pipeline.test_repro import changes, edited

pytestmark = pytest.mark.xdist_group("pipeline")  # one process: the project is reproduced once


@pytest.fixture
def run_id(reproduced: Project) -> str:
    found: str = json.loads((reproduced.root / "models/demo_reviews/fcnn/1/run.json").read_text())["run_id"]
    return found


def test_a_run_is_reproduced_and_the_pipeline_left_alone(reproduced: Project, run_id: str) -> None:
    before = changes(reproduced)
    printed = reproduced.ok(f"python pipelines/reproduce.py run={run_id}")
    assert "nothing differs: training again" in printed
    assert re.search(rf"run {run_id} is reproduced: \d scores equal to the last digit, and every byte", printed)
    assert changes(reproduced) == before
    record = json.loads((reproduced.root / "reproduced" / run_id / "run.json").read_text())
    again = MlflowClient(f"sqlite:///{reproduced.root}/mlflow.db").get_run(record["run_id"])
    assert again.data.tags["reproduces"] == run_id
    assert again.info.run_name == "fcnn-1-again"


def test_a_trial_is_reproduced_in_the_given_folder(reproduced: Project) -> None:
    study = "sweep=encoder hydra.sweeper.study=again hydra.sweeper.n_trials=1 model=fcnn"
    reproduced.ok(f"python pipelines/train.py -m {study}")
    run_id = json.loads((reproduced.root / "multirun/again/0/run.json").read_text())["run_id"]
    printed = reproduced.ok(f"python pipelines/reproduce.py run={run_id} output=\"'reproduced/trial #0, again'\"")
    assert f"run {run_id} is reproduced" in printed
    record = json.loads((reproduced.root / "reproduced/trial #0, again/run.json").read_text())
    client = MlflowClient(f"sqlite:///{reproduced.root}/mlflow.db")
    assert client.get_run(record["run_id"]).info.run_name == "fcnn-1 #0-again"


def test_what_differs_is_named_and_nothing_is_trained(reproduced: Project, run_id: str) -> None:
    with edited(reproduced.root / "conf/model/fcnn.yaml", "hidden_size: 128", "hidden_size: 8"):
        done = reproduced.run(f"python pipelines/reproduce.py run={run_id} output=reproduced/never")
    assert done.returncode == 1
    assert "differs: parameter model.hidden_size: 128 → 8" in done.stdout
    assert "error: 1 differences, listed above" in done.stderr
    assert not (reproduced.root / "reproduced/never").exists()


def test_what_is_trained_despite_differences_is_compared(reproduced: Project, run_id: str) -> None:
    with edited(reproduced.root / "conf/model/fcnn.yaml", "hidden_size: 128", "hidden_size: 8"):
        command = f"python pipelines/reproduce.py run={run_id} output=reproduced/other despite_differences=true"
        done = reproduced.run(command)
    assert done.returncode == 1
    assert "≠" in done.stdout
    assert re.search(rf"error: run {run_id} is not reproduced: \d of \d scores, .*weights.safetensors", done.stderr)


@pytest.mark.parametrize("name", ["nonsense", "null"])
def test_an_id_that_is_no_run_s_is_one_line(reproduced: Project, name: str) -> None:
    done = reproduced.run(f"python pipelines/reproduce.py run={name}")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
