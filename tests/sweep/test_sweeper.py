"""The sweeper in real processes, which are killed, fail, and share a study."""

import signal
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from tests.sweep.commands import Commands, read_until, wait_until

OPTUNA = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", "x=interval(-10,10)")


def trials(commands: Commands) -> list[FrozenTrial]:
    return optuna.load_study(study_name="s", storage=commands.storage).trials


def runs(commands: Commands) -> list[Any]:
    client = MlflowClient(commands.tracking)
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


def workers(commands: Commands) -> list[dict[str, Any]]:
    """The processes in which jobs run."""
    return [trial.user_attrs["worker"] for trial in trials(commands) if trial.user_attrs.get("worker")]


def kill_in(commands: Commands, trial: int, *overrides: str) -> None:
    """Start the command, and kill it in the job of this trial."""
    commands.hold(trial)
    process = commands.start(*overrides)
    read_until(process, f"trial {trial - 1}:")
    read_until(process, "x is")
    process.kill()
    process.wait()
    commands.release(trial)


def test_a_study_that_was_killed_twice_ends_as_an_unbroken_one(commands: Commands) -> None:
    command = (*OPTUNA, "hydra.sweeper.n_trials=5", "name=a,b")
    kill_in(commands, 1, *command)
    kill_in(commands, 3, *command)
    assert [trial.state for trial in trials(commands)].count(TrialState.COMPLETE) < 5
    printed = commands.run(*command)
    broken = trials(commands)
    assert [trial.state for trial in broken] == [TrialState.COMPLETE] * 5
    assert [trial.number for trial in broken] == list(range(5))
    assert "5 trials, 5 complete" in printed
    assert len(runs(commands)) == 1  # the parent; this command logs no runs of its own

    commands.run(*command, f"hydra.sweeper.storage=sqlite:///{commands.root}/other.db")
    unbroken = optuna.load_study(study_name="s", storage=f"sqlite:///{commands.root}/other.db").trials
    assert [trial.params for trial in broken] == [trial.params for trial in unbroken]


def test_two_processes_share_a_study(commands: Commands) -> None:
    commands.hold(0, 1)
    processes = [commands.start(*OPTUNA, "hydra.sweeper.n_trials=5") for _ in range(2)]
    for process in processes:
        read_until(process, "x is")
    commands.release(0, 1)
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    done = trials(commands)
    assert [trial.state for trial in done] == [TrialState.COMPLETE] * 5
    assert len({trial.user_attrs["sweeper"]["pid"] for trial in done}) == 2
    (parent,) = runs(commands)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["trials/complete"] == 5


def test_a_trial_that_is_over_is_not_run_again_though_its_batch_was_killed(commands: Commands) -> None:
    command = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", "hydra.sweeper.n_jobs=2", "x=interval(-10,10)")
    commands.hold(1)
    process = commands.start(*command, "hydra.sweeper.n_trials=2")
    read_until(process, "x is", count=2)
    process.kill()
    process.wait()
    commands.release(1)
    assert [trial.state.name for trial in trials(commands)] == ["COMPLETE", "RUNNING"]
    printed = commands.run(*command, "hydra.sweeper.n_trials=2")
    assert printed.count("x is") == 1
    assert "2 complete" in printed


def test_a_job_whose_sweeper_was_killed_is_waited_for_and_its_value_kept(commands: Commands) -> None:
    command = (*OPTUNA, "hydra.sweeper.n_trials=2", "hydra/launcher=joblib", "hydra.sweeper.n_jobs=2")
    commands.hold(0, 1)
    process = commands.start(*command)
    read_until(process, "study s:")
    wait_until(lambda: len(workers(commands)) == 2)
    process.kill()
    process.wait()
    again = commands.start(*command)
    assert again.stdout is not None
    for worker in workers(commands):
        waiting = f"waiting for its job, process {worker['pid']} on {worker['host']}\n"
        assert any(line.endswith(waiting) for line in again.stdout)
    commands.release(0, 1)
    printed, _ = again.communicate()
    assert "waiting" not in printed  # it says so once
    assert "x is" not in printed
    assert "2 trials, 2 complete" in printed


def test_a_job_that_begins_when_its_trial_is_anothers_ends_at_once(commands: Commands) -> None:
    commands.run(*OPTUNA, "hydra.sweeper.n_trials=1")
    study = optuna.load_study(study_name="s", storage=commands.storage)
    study.ask().set_user_attr("claim", "another")
    late = ("hydra.sweeper.trial=1", "hydra.sweeper.claim=mine", "hydra/sweeper=optuna", "hydra.sweeper.study=s")
    printed = commands.run(*late, status=1)
    assert "trial 1 of s: another process has taken it over" in printed
    assert "x is" not in printed


def test_a_trial_that_kills_its_process_fails_the_third_time(commands: Commands) -> None:
    grid = ("hydra/sweeper/sampler=grid", "x=1,2,3", "dies_at=2")
    command = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", *grid)
    for _ in range(3):
        commands.run(*command, status=-signal.SIGKILL)
    printed = commands.run(*command)
    assert "3 trials, 2 complete, 1 fail" in printed
    assert "failed: x=2: its process died 3 times" in printed


def test_an_outage_of_mlflow_ends_the_sweep_and_not_its_trials(commands: Commands) -> None:
    grid = ("hydra/sweeper/sampler=grid", "x=1,2,3", "offline_at=2")
    command = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", *grid)
    printed = commands.run(*command, status=1)
    assert "cannot be used: refused; to resume it, run the same command when the store can be reached" in printed
    assert trials(commands)[-1].state == TrialState.RUNNING
    (commands.root / "back").touch()
    assert "3 trials, 3 complete" in commands.run(*command)


@pytest.mark.parametrize(
    ("sweeper", "number"),
    [(OPTUNA[1:], signal.SIGINT), (("x=1,2,3,4,5",), signal.SIGINT), (("x=1,2,3,4,5",), signal.SIGTERM)],
    ids=["optuna", "basic", "basic, SIGTERM"],
)
def test_a_sweep_that_is_interrupted_prints_its_summary_and_is_killed(
    commands: Commands, sweeper: tuple[str, ...], number: signal.Signals
) -> None:
    commands.hold(2)
    process = commands.start("-m", *sweeper)
    read_until(process, "x is", count=3)
    process.send_signal(number)
    printed = process.communicate()[0]
    assert process.returncode == 128 + number
    assert "2 complete" in printed
    assert "best: trial" in printed
    assert printed.splitlines()[-1] == "interrupted"
    (parent,) = runs(commands)
    assert parent.info.status == "KILLED"


def test_a_failed_trial_is_recorded_and_the_sweep_continues(commands: Commands) -> None:
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


def test_a_grid_ends_with_its_points_and_before_with_n_trials(commands: Commands) -> None:
    command = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", "hydra/sweeper/sampler=grid", "x=1,2,3")
    assert "0 of 2 trials" in commands.run(*command, "hydra.sweeper.n_trials=2")
    assert "2 of 3 trials" in commands.run(*command)
    assert sorted(trial.params["x"] for trial in trials(commands)) == ["1", "2", "3"]


def test_a_grid_has_every_point_once_also_with_trials_that_were_left_before_they_had_one(commands: Commands) -> None:
    grid = ("hydra/sweeper/sampler=grid", "x=1,2,3,4,5,6")
    commands.run("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", *grid, "hydra.sweeper.n_trials=1")
    study = optuna.load_study(study_name="s", storage=commands.storage, sampler=optuna.samplers.RandomSampler())
    for _ in range(3):
        study.ask()
    commands.run("-m", "hydra/sweeper=optuna", "hydra.sweeper.study=s", *grid)
    assert sorted(trial.params["x"] for trial in trials(commands)) == list("123456")


def test_what_costs_is_minimised(commands: Commands) -> None:
    commands.run(*OPTUNA, "objectives=[parameters]", "hydra/sweeper/pruner=none", "hydra.sweeper.n_trials=2")
    assert optuna.load_study(study_name="s", storage=commands.storage).direction.name == "MINIMIZE"


def test_a_name_that_reads_as_a_number_is_a_name(commands: Commands) -> None:
    assert "1 complete" in commands.run(*OPTUNA, "hydra.sweeper.study=2024", "hydra.sweeper.n_trials=1")
    assert "1 of 1 trials" in commands.run(*OPTUNA, "hydra.sweeper.study='2024'", "hydra.sweeper.n_trials=1")
    assert optuna.get_all_study_names(commands.storage) == ["2024"]


def test_another_sampler_makes_another_study(commands: Commands) -> None:
    command = ("-m", "hydra/sweeper=optuna", "x=1,2", "hydra.sweeper.n_trials=1")
    assert "0 of 1" in commands.run(*command)
    assert "1 of 1" in commands.run(*command, "hydra.sweeper.n_jobs=2")
    assert "0 of 1" in commands.run(*command, "hydra.sweeper.sampler.seed=7")
    assert "0 of 1" in commands.run(*command, "hydra/sweeper/sampler=random")


@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 12), ("random", 30)])
def test_a_sampler_finds_the_hill(commands: Commands, sampler: str, trials: int) -> None:
    printed = commands.run(*OPTUNA, f"hydra/sweeper/sampler={sampler}", f"hydra.sweeper.n_trials={trials}")
    assert optuna.load_study(study_name="s", storage=commands.storage).best_value > -1
    assert "best: trial" in printed


def test_two_objectives_give_a_front(commands: Commands) -> None:
    two = ("objectives=[best_score,parameters]", "hydra/sweeper/pruner=none")
    command = (*OPTUNA, "hydra/sweeper/sampler=nsgaii", "hydra.sweeper.n_trials=6", *two)
    printed = commands.run(*command)
    front = optuna.load_study(study_name="s", storage=commands.storage).best_trials
    assert len(front) > 1
    assert all(trial.values[1] <= 3.5 for trial in front)  # beyond the top both get worse
    assert printed.count("best: trial") == len(front)


def test_the_parent_run_shows_the_space_what_mattered_and_the_best(commands: Commands) -> None:
    commands.run(*OPTUNA, "hydra.sweeper.n_trials=6", "name=a,b")
    (parent,) = runs(commands)
    assert (parent.info.run_name, parent.info.status) == ("s", "FINISHED")
    assert parent.data.params == {"sweep.x": "interval(-10,10)", "sweep.name": "a,b"}
    assert parent.data.metrics["importance/best_score/x"] > parent.data.metrics["importance/best_score/name"]
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
    assert parent.data.metrics["best/best_score"] == 0
    assert "4 trials, 3 complete, 1 fail" in printed
    assert "trial 1 failed: x=2: x=2; accepted: other numbers" in printed.splitlines()[-2]


def test_keys_and_choices_of_any_grammar_are_parameters_of_the_parent(commands: Commands) -> None:
    (commands.root / "conf/size").mkdir()
    for name in ("large", "small"):
        (commands.root / f"conf/size/{name}.yaml").write_text(f"name: {name}\n")
    config = commands.root / "conf/hill.yaml"
    config.write_text(config.read_text().replace("- sweep: null", "- sweep: null\n  - size: null"))
    printed = commands.run("-m", "size=glob(*)", "++x=1,2")
    assert "4 trials, 4 complete" in printed
    (parent,) = runs(commands)
    assert (parent.info.status, parent.data.params) == ("FINISHED", {"sweep.size": "large,small", "sweep.x": "1,2"})


def test_a_bug_before_the_first_job_ends_the_command_with_its_traceback(commands: Commands) -> None:
    script = commands.root / "pipelines/hill.py"
    broken = "import unroll.tracking.sweeps\nunroll.tracking.sweeps.source_tags = lambda script: 1 / 0\n"
    script.write_text(broken + script.read_text())
    printed = commands.run("-m", "x=1,2", status=1)
    assert "Traceback" in printed and printed.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "x is 1" not in printed


def test_jobs_have_folders_of_any_name(commands: Commands) -> None:
    printed = commands.run("-m", "x=1,2", "name=a,b", "hydra.sweep.subdir=${hydra:job.override_dirname}")
    assert "4 trials, 4 complete" in printed
    assert (commands.root / "multirun/here/name=a,x=1/job.json").exists()


def test_a_sweep_in_the_folder_of_another_is_about_its_own_jobs(commands: Commands) -> None:
    commands.run("-m", "x=1,2,3")
    printed = commands.run("-m", "x=1,5")
    assert "x=1,5: 2 trials, 2 complete" in printed
    assert [run.info.status for run in runs(commands)] == ["FINISHED"] * 2


def test_a_sweep_of_one_job_is_one_too(commands: Commands) -> None:
    assert "sweep: 1 trial, 1 complete" in commands.run("-m", "x=2")
    (parent,) = runs(commands)
    assert parent.info.status == "FINISHED"


def test_a_sweep_that_is_interrupted_in_its_first_job_is_killed(commands: Commands) -> None:
    commands.hold(0)
    process = commands.start("-m", "x=1,2")
    read_until(process, "x is 1")
    process.send_signal(signal.SIGINT)
    printed = process.communicate()[0]
    assert "x=1,2: 0 trials\n" in printed
    assert "interrupted" in printed
    (parent,) = runs(commands)
    assert parent.info.status == "KILLED"


def test_a_search_space_without_its_first_line_is_refused(commands: Commands) -> None:
    folder = commands.root / "conf/sweep"
    folder.unlink()  # a link to that of the project
    folder.mkdir()
    (folder / "mine.yaml").write_text("hydra: {sweeper: {params: {x: '1,2'}}}")
    printed = commands.run("-m", "sweep=mine", status=1)
    assert (
        "conf/sweep/mine.yaml sets sweep=['hydra']; accepted: a file whose first line is # @package _global_" in printed
    )


def test_a_mistake_before_the_first_job_leaves_no_run(commands: Commands) -> None:
    printed = commands.run("-m", "y=1,2", status=1)
    assert "y: unknown key" in printed
    assert runs(commands) == []


MISTAKES = {
    "hydra.sweeper.n_trials=0": "hydra.sweeper.n_trials=0; accepted: 1 or more",
    "hydra.sweeper.n_jobs=0": "hydra.sweeper.n_jobs=0; accepted: 1 or more",
    "hydra.sweeper.direction=minimize": "hydra.sweeper.direction: unknown key",
    "objectives=[parameters]": "objectives=['parameters']: trials can be pruned only by best_score; accepted: "
    "objectives=[best_score], or hydra/sweeper/pruner=none",
    "objectives=[best_score,parameters]": "accepted: objectives=[best_score], or hydra/sweeper/pruner=none",
    "hydra.sweeper.storage=mysql://here/x": "accepted: sqlite:///FILE or postgresql+psycopg2://",
    "hydra.sweeper.study=a/b": "hydra.sweeper.study='a/b'; accepted: a name of letters, digits",
    "hydra.sweeper.trials=3": "hydra.sweeper.trials: unknown key",
    "hydra.sweeper.n_trials=null": "x=interval(-10,10): an interval has no grid",
    "hydra/sweeper/sampler=grid": "x=interval(-10,10): an interval has no grid",
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
