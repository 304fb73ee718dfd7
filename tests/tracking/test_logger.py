import pickle
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.tiny import OPTIONS, tiny_parts
from tests.tracking.trained import make_provenance
from unroll.data.prepared import PreparedData
from unroll.tracking.logger import EpochLogger
from unroll.tracking.runs import TrackedRun, create_run
from unroll.tracking.store import open_store
from unroll.training.train import train


@pytest.fixture
def run(reviews: PreparedData) -> TrackedRun:
    client = open_store()
    return TrackedRun(client, create_run(client, make_provenance(reviews)))


def steps(run: TrackedRun, name: str) -> list[int]:
    return [point.step for point in run.client.get_metric_history(run.run_id, name)]


def test_a_training_s_scores_are_logged_by_epoch(reviews: PreparedData, run: TrackedRun, tmp_path: Path) -> None:
    train(reviews, tiny_parts("gru"), OPTIONS, tmp_path, EpochLogger(run))
    logged = run.client.get_run(run.run_id).data.metrics
    with (tmp_path / "history.csv").open() as stream:
        assert set(logged) == {name for name in next(stream).strip().split(",") if "/" in name}
    for name in logged:
        assert steps(run, name) == [1, 2, 3]


def test_a_store_that_fails_is_not_called_again_and_training_continues(
    reviews: PreparedData,
    run: TrackedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls, log_batch = [], MlflowClient.log_batch

    def fail_the_second_time(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise MlflowException("API request failed")
        return log_batch(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_batch", fail_the_second_time)
    result = train(reviews, tiny_parts("gru", max_epochs=4), OPTIONS, tmp_path, EpochLogger(run))
    assert result["epochs"] == 4
    assert (tmp_path / "model" / "weights.safetensors").is_file()
    assert len(calls) == 2
    assert steps(run, "val/loss") == [1]
    assert caplog.messages == ["warning: MLflow fails (API request failed); training continues without it"]


def test_a_run_that_is_deleted_does_not_end_its_training(run: TrackedRun, caplog: pytest.LogCaptureFixture) -> None:
    run.client.delete_run(run.run_id)
    logger = EpochLogger(run)
    logger.log_metrics({"epoch": 0, "val/loss": 0.5})
    assert logger.is_lost
    assert "training continues without it" in caplog.text


def test_a_bug_is_not_taken_for_a_store_that_fails(run: TrackedRun) -> None:
    with pytest.raises(KeyError, match="epoch"):
        EpochLogger(run).log_metrics({"val/loss": 0.5})


def test_another_process_can_log(run: TrackedRun) -> None:
    logger = pickle.loads(pickle.dumps(EpochLogger(run)))
    logger.log_metrics({"epoch": 0, "val/loss": 0.5})
    assert steps(run, "val/loss") == [1]
