from pathlib import Path

from optuna.trial import TrialState

from unroll.sweep.grids import study_of_jobs
from unroll.sweep.jobs import Job
from unroll.sweep.multirun import Multirun
from unroll.sweep.studies import ERROR, OVERRIDES


def multirun(*objectives: str) -> Multirun:
    return Multirun("model=gru,lstm", "run", Path("multirun"), {"model": ["gru", "lstm"]}, list(objectives))


def test_a_job_is_a_trial_with_what_was_swept() -> None:
    jobs = [Job(0, ["model=gru", "seed=1"], value=0.5), Job(1, ["model=lstm", "seed=1"], value=0.75)]
    study = study_of_jobs(multirun("best_score"), jobs)
    assert [trial.params for trial in study.trials] == [{"model": "gru"}, {"model": "lstm"}]
    assert study.best_trial.value == 0.75
    assert study.best_trial.user_attrs[OVERRIDES] == ["model=lstm", "seed=1"]


def test_a_job_that_failed_is_a_failed_trial_with_its_error() -> None:
    jobs = [Job(0, ["model=gru"], error="seed=-1; accepted: 0 or more"), Job(1, ["model=lstm"], value=0.75)]
    failed, complete = study_of_jobs(multirun("best_score"), jobs).trials
    assert (failed.state, complete.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert failed.user_attrs[ERROR] == "seed=-1; accepted: 0 or more"


def test_costs_are_better_the_lower_they_are() -> None:
    jobs = [Job(0, ["model=gru"], value=[0.5, 10]), Job(1, ["model=lstm"], value=[0.5, 20])]
    study = study_of_jobs(multirun("best_score", "microseconds_per_token"), jobs)
    assert [trial.number for trial in study.best_trials] == [0]
