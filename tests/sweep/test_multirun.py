from pathlib import Path

from optuna import Study
from optuna.trial import TrialState

from unroll.sweep.multirun import Job, read_jobs, write_job
from unroll.sweep.studies import ERROR, OVERRIDES, study_of_jobs


def study(jobs: list[Job], *objectives: str) -> Study:
    return study_of_jobs("model=gru,lstm", list(objectives), {"model": ["gru", "lstm"]}, jobs)


def test_jobs_are_read_as_they_were_written_by_number(tmp_path: Path) -> None:
    jobs = [
        Job(10, ["a=1"], value=0.5, parent="run"),
        Job(2, ["a=2"], error="a=2; accepted: 1", parent="run"),
        Job(0, [], value=[0.5, 1], parent="run"),
    ]
    for folder, job in zip(["a=1", "a=2/seed=1", "0"], jobs, strict=True):
        write_job(tmp_path / folder, job)
    (tmp_path / "11").mkdir()  # started, not ended
    assert read_jobs(tmp_path, "run") == [jobs[2], jobs[1], jobs[0]]


def test_jobs_of_an_earlier_sweep_in_the_folder_are_not_read(tmp_path: Path) -> None:
    now = Job(0, ["a=1"], value=0.5, parent="now")
    write_job(tmp_path / "0", now)
    write_job(tmp_path / "1", Job(1, ["a=2"], value=0.5, parent="then"))
    assert read_jobs(tmp_path, "now") == [now]


def test_a_job_is_a_trial_with_what_was_swept() -> None:
    jobs = [Job(0, ["model=gru", "seed=1"], value=0.5), Job(1, ["model=lstm", "seed=1"], value=0.75)]
    found = study(jobs, "best_score")
    assert [trial.params for trial in found.trials] == [{"model": "gru"}, {"model": "lstm"}]
    assert found.best_trial.value == 0.75
    assert found.best_trial.user_attrs[OVERRIDES] == ["model=lstm", "seed=1"]


def test_a_job_that_failed_is_a_failed_trial_with_its_error() -> None:
    jobs = [Job(0, ["model=gru"], error="seed=-1; accepted: 0 or more"), Job(1, ["model=lstm"], value=0.75)]
    failed, complete = study(jobs, "best_score").trials
    assert (failed.state, complete.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert failed.user_attrs[ERROR] == "seed=-1; accepted: 0 or more"


def test_costs_are_better_the_lower_they_are() -> None:
    jobs = [Job(0, ["model=gru"], value=[0.5, 10]), Job(1, ["model=lstm"], value=[0.5, 20])]
    found = study(jobs, "best_score", "microseconds_per_token")
    assert [trial.number for trial in found.best_trials] == [0]
