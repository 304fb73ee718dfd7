"""The sweeper as commands meet it: real processes, killed, failing, at once."""

import itertools
import signal
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from tests.sweep.commands import Commands

OPTUNA = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", "x=interval(-10,10)")


def trials(commands: Commands) -> list[FrozenTrial]:
    return optuna.load_study(study_name="s", storage=commands.storage).trials


def runs(commands: Commands) -> list[Any]:
    client = MlflowClient(commands.tracking)
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


def kill_at(commands: Commands, trial: int, *overrides: str) -> None:
    """Start the command, and kill it as soon as the trial before this one is over."""
    process = commands.start(*overrides)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"trial {trial - 1}:"):
            process.send_signal(signal.SIGKILL)
            break
    process.wait(60)
    assert process.returncode == -signal.SIGKILL


def test_a_study_that_was_killed_twice_ends_as_an_unbroken_one(commands: Commands) -> None:
    command = (*OPTUNA, "hydra.sweeper.n_trials=9", "name=a,b", "seconds=0.05")
    kill_at(commands, 3, *command)
    kill_at(commands, 6, *command)
    assert [trial.state for trial in trials(commands)].count(TrialState.COMPLETE) < 9
    printed = commands.run(*command)
    broken = trials(commands)
    assert [trial.state for trial in broken] == [TrialState.COMPLETE] * 9
    assert [trial.number for trial in broken] == list(range(9))
    assert "9 trials, 9 complete" in printed
    assert len(runs(commands)) == 1  # the parent; this command logs no runs of its own

    commands.run(*command, f"hydra.sweeper.storage=sqlite:///{commands.root}/other.db")
    unbroken = optuna.load_study(study_name="s", storage=f"sqlite:///{commands.root}/other.db").trials
    assert [trial.params for trial in broken] == [trial.params for trial in unbroken]


def test_two_processes_share_a_study(commands: Commands) -> None:
    command = (*OPTUNA, "hydra.sweeper.n_trials=10", "seconds=0.3")
    processes = [commands.start(*command) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    done = trials(commands)
    assert [trial.state for trial in done] == [TrialState.COMPLETE] * 10
    assert len({trial.user_attrs["sweeper"]["pid"] for trial in done}) == 2
    (parent,) = runs(commands)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["trials/complete"] == 10


@pytest.mark.parametrize(
    ("sweeper", "number"),
    [(OPTUNA[1:], signal.SIGINT), (("x=1,2,3,4,5",), signal.SIGINT), (("x=1,2,3,4,5",), signal.SIGTERM)],
    ids=["optuna", "basic", "basic, SIGTERM"],
)
def test_a_sweep_that_is_interrupted_says_what_came_of_it_and_is_killed(
    commands: Commands, sweeper: tuple[str, ...], number: signal.Signals
) -> None:
    process = commands.start("-m", *sweeper, "seconds=1")
    assert process.stdout is not None
    jobs = itertools.count(1)
    for line in process.stdout:
        if line.startswith("x is") and next(jobs) == 3:
            process.send_signal(number)
            break
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number
    assert "2 complete" in printed
    assert "best: trial" in printed
    assert printed.splitlines()[-1] == "interrupted"
    (parent,) = runs(commands)
    assert parent.info.status == "KILLED"


def test_a_failed_trial_is_recorded_and_the_sweep_goes_on(commands: Commands) -> None:
    grid = ("hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=null", "x=choice(1,2,3)", "fails_at=2")
    printed = commands.run("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", *grid)
    assert sorted(trial.state.name for trial in trials(commands)) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert "3 trials, 2 complete, 1 fail" in printed
    assert "failed: x=2: x=2; accepted: other numbers" in printed
    assert "Traceback" not in printed


def test_a_grid_has_every_point_once_also_with_two_jobs_at_once(commands: Commands) -> None:
    grid = ("hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=null", "x=range(1,4)", "name=a,b")
    at_once = ("hydra/launcher=joblib", "hydra.sweeper.n_jobs=2")
    commands.run("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", *grid, *at_once)
    points = [(trial.params["x"], trial.params["name"]) for trial in trials(commands)]
    assert sorted(points) == [(x, name) for x in (1, 2, 3) for name in "ab"]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sampler_finds_the_hill(commands: Commands, sampler: str) -> None:
    printed = commands.run(*OPTUNA, f"hydra/sweeper/sampler={sampler}", "hydra.sweeper.n_trials=30")
    assert optuna.load_study(study_name="s", storage=commands.storage).best_value > -1
    assert "best: trial" in printed


def test_two_objectives_give_a_front(commands: Commands) -> None:
    two = ("objectives=[height,x]", "hydra.sweeper.direction=[maximize,minimize]", "hydra/sweeper/pruner=none")
    command = (*OPTUNA, "hydra/sweeper/sampler=nsgaii", "hydra.sweeper.n_trials=30", *two)
    printed = commands.run(*command)
    front = optuna.load_study(study_name="s", storage=commands.storage).best_trials
    assert len(front) > 1
    assert all(trial.values[1] <= 3.5 for trial in front)  # beyond the top both get worse
    assert printed.count("best: trial") == len(front)


def test_the_parent_run_shows_the_space_what_mattered_and_the_best(commands: Commands) -> None:
    commands.run(*OPTUNA, "hydra.sweeper.n_trials=12", "name=a,b")
    (parent,) = runs(commands)
    assert (parent.info.run_name, parent.info.status) == ("s", "FINISHED")
    assert parent.data.params == {"sweep.x": "interval(-10,10)", "sweep.name": "a,b"}
    assert parent.data.metrics["importance/height/x"] > parent.data.metrics["importance/height/name"]
    assert "best: trial" in parent.data.tags["mlflow.note.content"]
    artifacts = MlflowClient(commands.tracking).list_artifacts(parent.info.run_id, "sweep")
    assert {artifact.path for artifact in artifacts} == {
        "sweep/importance.png",
        "sweep/multirun.yaml",
        "sweep/search_space.png",
    }


def test_a_grid_of_hydras_own_sweeper_has_a_parent_run_too(commands: Commands) -> None:
    printed = commands.run("-m", "x=1,2,3,4", "fails_at=2", status=1)
    (parent,) = runs(commands)
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"sweep.x": "1,2,3,4"}
    assert parent.data.metrics["best/height"] == 0
    assert "4 trials, 3 complete, 1 fail" in printed
    assert "trial 1 failed: x=2: x=2; accepted: other numbers" in printed.splitlines()[-2]


def test_a_mistake_before_the_first_job_leaves_no_run(commands: Commands) -> None:
    printed = commands.run("-m", "y=1,2", status=1)
    assert "y: unknown key" in printed
    assert runs(commands) == []


MISTAKES = {
    "hydra.sweeper.n_trials=0": "hydra.sweeper.n_trials=0; accepted: 1 or more",
    "hydra.sweeper.n_jobs=0": "hydra.sweeper.n_jobs=0; accepted: 1 or more",
    "hydra.sweeper.direction=up": "hydra.sweeper.direction='up'; accepted: 'maximize' or 'minimize'",
    "hydra.sweeper.direction=[maximize,minimize]": "accepted: hydra/sweeper/pruner=none",
    "objectives=[height,x]": "accepted: one direction for each",
    "hydra.sweeper.storage=mysql://here/x": "accepted: sqlite:///FILE or postgresql+psycopg2://",
    "hydra.sweeper.study=a/b": "hydra.sweeper.study='a/b'; accepted: letters, digits",
    "hydra.sweeper.trials=3": "hydra.sweeper.trials: unknown key",
    "hydra.sweeper.n_trials=null": "x=interval(-10,10): a grid has no interval",
    "hydra/sweeper/sampler=tpee": "hydra/sweeper/sampler=tpee: no such choice; accepted: grid, nsgaii, random, tpe",
    "y=1": "y: unknown key",
    "x=interval(2,1)": "x=interval(2,1): an empty space",
    "sweep=encodr": "sweep=encodr: no such choice; accepted: cost, encoder",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_seconds_with_what_is_accepted(commands: Commands, mistake: str) -> None:
    printed = commands.run(*OPTUNA, mistake, status=1)
    assert MISTAKES[mistake] in printed
    assert "Traceback" not in printed
    assert not (commands.root / "optuna.db").exists()
