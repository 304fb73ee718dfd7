"""The end of a sweep: once, a second time, and of two processes at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna import Study
from optuna.trial import create_trial

from unroll.sweep.ownership import SWEEPER, this_process
from unroll.sweep.studies import OBJECTIVES, OVERRIDES
from unroll.sweep.summary import LockStudy, end_sweep
from unroll.tracking.sweeps import open_parent

SPACE: dict[str, optuna.distributions.BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 10)}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def study() -> Study:
    """Its objective is minimised."""
    found = optuna.create_study(direction="minimize")
    found.set_user_attr(OBJECTIVES, ["cost"])
    return found


def complete(study: Study, *values: float) -> None:
    for value in values:
        study.add_trial(
            create_trial(value=value, params={"x": value}, distributions=SPACE, user_attrs={OVERRIDES: [f"x={value}"]})
        )


def run_of(run_id: str) -> Run:
    return MlflowClient().get_run(run_id)


def pictures(run_id: str) -> list[str]:
    return [artifact.path for artifact in MlflowClient().list_artifacts(run_id, "sweep")]


def meanwhile(*events: Callable[[], object]) -> LockStudy:
    """A lock that calls the next of `events` each time that it is taken."""
    left = iter(events)

    @contextmanager
    def lock() -> Iterator[None]:
        next(left)()
        yield

    return lock


def nothing() -> None:
    pass


def test_a_sweep_without_a_trial_has_a_summary_too(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert not end_sweep(study, open_parent("demo", "s", {}), [], "later", is_interrupted=True)
    assert capsys.readouterr().out == f"{study.study_name}: 0 trials\n"


def test_the_run_has_what_its_last_end_found(study: Study) -> None:
    run_id = open_parent("demo", "s", {})
    complete(study, 5)
    trial = study.ask()
    end_sweep(study, run_id, [], "later")
    metrics = run_of(run_id).data.metrics
    assert (metrics["best/cost"], metrics["trials/complete"], metrics["trials/running"]) == (5, 1, 1)

    trial.set_user_attr(OVERRIDES, ["x=3"])
    study.tell(trial, 3)
    end_sweep(study, run_id, [], "later")
    metrics = run_of(run_id).data.metrics
    assert (metrics["best/cost"], metrics["trials/complete"], metrics["trials/running"]) == (3, 2, 0)


def test_importances_that_fell_are_the_new_ones(study: Study) -> None:
    space = SPACE | {"y": optuna.distributions.FloatDistribution(0, 10)}

    def add(count: int, value: Callable[[float, float], float]) -> None:
        for number in range(count):
            x, y = float(number), float(number * 7 % 10)
            attributes = {OVERRIDES: [f"x={x}", f"y={y}"]}
            study.add_trial(
                create_trial(value=value(x, y), params={"x": x, "y": y}, distributions=space, user_attrs=attributes)
            )

    run_id = open_parent("demo", "s", {})
    add(10, lambda x, y: x)
    end_sweep(study, run_id, [], "later")
    first = run_of(run_id).data.metrics["importance/cost/x"]
    add(10, lambda x, y: 50 * y)
    end_sweep(study, run_id, [], "later")
    assert run_of(run_id).data.metrics["importance/cost/x"] < first


def test_a_run_ends_with_the_last_trial_that_somebody_works_on(study: Study) -> None:
    run_id = open_parent("demo", "s", {})
    complete(study, 5)
    trial = study.ask()
    for is_interrupted in (False, True):
        end_sweep(study, run_id, [], "later", is_interrupted=is_interrupted)
        info = run_of(run_id).info
        assert (info.status, info.end_time) == ("RUNNING", None)

    trial.set_user_attr(SWEEPER, this_process())  # so it is our own that was interrupted
    end_sweep(study, run_id, [], "later", is_interrupted=True)
    info = run_of(run_id).info
    assert info.status == "KILLED"
    assert info.end_time is not None


def test_a_trial_that_ends_while_we_wait_for_the_lock_counts(study: Study) -> None:
    run_id = open_parent("demo", "s", {})
    complete(study, 5)
    trial = study.ask()
    trial.set_user_attr(OVERRIDES, ["x=3"])
    end_sweep(study, run_id, [], "later", lock_study=meanwhile(lambda: study.tell(trial, 3), nothing))
    run = run_of(run_id)
    assert (run.info.status, run.data.metrics["best/cost"]) == ("FINISHED", 3)
    assert "best: trial 1, cost 3: x=3" in run.data.tags["mlflow.note.content"]
    assert pictures(run_id) == ["sweep/search_space.png"]


def test_outdated_pictures_are_left_to_the_process_with_the_latest_trial(study: Study) -> None:
    run_id = open_parent("demo", "s", {})
    complete(study, 5)
    end_sweep(study, run_id, [], "later", lock_study=meanwhile(nothing, lambda: complete(study, 3)))
    assert pictures(run_id) == []
