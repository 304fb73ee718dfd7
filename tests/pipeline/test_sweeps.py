"""Sweeps of real trainings: with every launcher, killed during a trial, and promoted to the pipeline."""

import os
import signal
import subprocess
from importlib.util import find_spec
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient

from tests.pipeline.conftest import Project
from tests.pipeline.test_readme import JOBLIB
from unroll.files import read_json

pytestmark = pytest.mark.xdist_group("prepared")  # one process: the project is made once

EXTRAS = {"submitit_local": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}


def family(project: Project, name: str) -> tuple[Any, list[Any]]:
    """The MLflow run of the latest sweep of a name, and its child runs."""
    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    parent, *_ = client.search_runs(experiments, f"attributes.run_name = '{name}'")
    return parent, client.search_runs(experiments, f"tags.mlflow.parentRunId = '{parent.info.run_id}'")


def test_the_readmes_parallel_jobs_are_beneath_one_run(prepared_project: Project) -> None:
    sweep = JOBLIB.replace("seed=1,2,3", "seed=11")
    assert sweep != JOBLIB
    prepared_project.ok(sweep)
    parent, children = family(prepared_project, "model=gru,lstm")
    assert [parent.info.status, *(child.info.status for child in children)] == ["FINISHED"] * 3
    assert {child.info.run_name for child in children} == {"gru-11", "lstm-11"}


@pytest.mark.parametrize("launcher", EXTRAS)
def test_each_launcher_puts_its_jobs_beneath_one_run(prepared_project: Project, launcher: str) -> None:
    if find_spec(f"hydra_plugins.{EXTRAS[launcher]}") is None:
        pytest.skip(f"{EXTRAS[launcher]} is not installed")
    job = {"submitit_local": "seed=13", "ray": "seed=15"}[launcher]
    sweep = f"hydra.sweep.dir=multirun/{launcher} hydra/launcher={launcher}"
    command = f"python pipelines/train.py -m model=majority {job} {sweep}"
    done = prepared_project.run(command, RAY_AUTH_MODE="disabled")
    while "timed out during startup" in done.stderr:  # Ray waits for 30 seconds, however busy the machine is
        done = prepared_project.run(command, RAY_AUTH_MODE="disabled")
    assert done.returncode == 0, done.stderr
    parent, (child,) = family(prepared_project, "sweep")
    assert parent.info.status == child.info.status == "FINISHED"
    assert child.data.params["seed"] == job.removeprefix("seed=")


def test_a_training_that_was_killed_is_resumed_in_its_trial_and_its_run(prepared_project: Project) -> None:
    command = (
        "exec python pipelines/train.py -m hydra/sweeper=optuna hydra.sweeper.study=killed hydra.sweeper.n_trials=2 "
        "model=gru model.hidden_size=8,16 trainer.max_epochs=20 patience=20"
    )
    process = subprocess.Popen(
        command,
        shell=True,
        cwd=prepared_project.root,
        env=prepared_project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2/20"):
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    assert "multirun/killed/0: resuming from the last checkpoint" in prepared_project.ok(command.removeprefix("exec "))
    study = optuna.load_study(study_name="killed", storage=f"sqlite:///{prepared_project.root}/optuna.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE"]
    assert list(study.trials[0].intermediate_values) == list(range(1, 21))
    parent, children = family(prepared_project, "killed")
    assert [parent.info.status, *(child.info.status for child in children)] == ["FINISHED"] * 3
    assert {child.info.run_name for child in children} == {"gru-1 #0", "gru-1 #1"}
    best = read_json(prepared_project.root / f"multirun/killed/{study.best_trial.number}/run.json")
    assert parent.data.metrics["best/best_score"] == best["best_score"] == study.best_value


def test_a_hopeless_training_is_given_up_and_killed_in_mlflow(prepared_project: Project) -> None:
    pruner = "hydra/sweeper/pruner=median hydra.sweeper.pruner.n_startup_trials=1 hydra.sweeper.pruner.n_warmup_steps=1"
    grid = "hydra/sweeper/sampler=grid hydra.sweeper.n_trials=null hydra.sweeper.study=pruned"
    sweep = f"hydra/sweeper=optuna {grid} {pruner} dataset=demo_entities model=bilstm batch_size=8 trainer.max_epochs=2"
    prepared_project.ok(f"python pipelines/train.py -m {sweep} optimizer.lr=1e-09,0.004")  # the grid begins with 0.004
    study = optuna.load_study(study_name="pruned", storage=f"sqlite:///{prepared_project.root}/optuna.db")
    states = {trial.params["optimizer.lr"]: trial.state.name for trial in study.trials}
    assert states == {"0.004": "COMPLETE", "1e-09": "PRUNED"}
    _, children = family(prepared_project, "pruned")
    assert sorted(child.info.status for child in children) == ["FINISHED", "KILLED"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "study=None"),
        ("study=nobody", "study=nobody: no such study"),
        ("study=nobody storage=foo", "'foo'; accepted: sqlite:///FILE"),
        ("study=nobody trial=best", "trial='best'"),
        ("sudy=nobody", "sudy: unknown key (did you mean 'study'?)"),
    ],
)
def test_a_promotion_that_cannot_be_is_named(prepared_project: Project, options: str, said: str) -> None:
    done = prepared_project.run(f"python pipelines/promote.py {options}")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
