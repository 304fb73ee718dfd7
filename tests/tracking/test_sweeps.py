from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from unroll.exceptions import StoreUnavailable
from unroll.tracking.store import open_store
from unroll.tracking.sweeps import name_of, open_parent


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("optimizer.lr", "optimizer.lr"),
        ("+trainer.accumulate_grad_batches", "trainer.accumulate_grad_batches"),
        ("hydra/launcher", "hydra/launcher"),
        ("model@other", "model_other"),
        ("+" + "k" * 300, "k" * 200),
    ],
)
def test_every_key_of_a_sweep_is_a_parameter(key: str, name: str) -> None:
    assert name_of(key) == name
    run = open_store().get_run(open_parent("demo", "s", {key: "1,2"}))
    assert run.data.params == {f"sweep.{name}": "1,2"}


def test_a_store_that_refuses_the_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise MlflowException("no more runs")

    monkeypatch.setattr(MlflowClient, "create_run", refuse)
    with pytest.raises(StoreUnavailable, match=r"MLFLOW_TRACKING_URI='sqlite.*' cannot be used: no more runs"):
        open_parent("demo", "s", {})


def test_a_parent_is_resumed_unless_it_is_missing_or_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise MlflowException("API request failed")

    run_id = open_parent("reviews", "study", {})
    open_store().set_terminated(run_id, "FAILED")
    with monkeypatch.context() as patch, pytest.raises(StoreUnavailable, match="API request failed"):
        patch.setattr(MlflowClient, "update_run", fail)
        open_parent("reviews", "study", {}, run_id)
    assert open_parent("reviews", "study", {}, run_id) == run_id
    assert open_store().get_run(run_id).info.status == "RUNNING"
    open_store().delete_run(run_id)
    for missing in (run_id, "0" * 32):
        assert open_parent("reviews", "study", {}, missing) not in (run_id, missing)
