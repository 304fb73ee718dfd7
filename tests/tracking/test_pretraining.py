"""A pretraining in MLflow."""

import uuid
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from unroll.exceptions import StoreError
from unroll.files import checksums, write_checksums, write_json, write_text
from unroll.tracking import pretraining
from unroll.tracking.pretraining import CARD, EXPERIMENT, RECORD, complete, pretraining_run, provenance_of
from unroll.tracking.provenance import PROVENANCE
from unroll.tracking.runs import get_run
from unroll.tracking.store import open_store

CONFIG = {"name": "mine", "seed": 1, "pretraining": {"epochs": 2}}
HISTORY = [{"epoch": 1, "train/loss": 3.0}, {"epoch": 2, "train/loss": 2.0}]


def finished(folder: Path, name: str, logged: int = 2) -> tuple[Path, str]:
    """A folder of weights, and the id of its run, in which the first epochs are logged."""
    provenance = provenance_of({**CONFIG, "name": name}, ["corpus=mine"], "reviews", "0" * 64)
    with pretraining_run(provenance, folder / "run.json") as run:
        for it in HISTORY[:logged]:
            run.log_epoch(int(it["epoch"]), {"train/loss": it["train/loss"]})
    output = folder / "pretrained"
    output.mkdir()
    write_json(output / RECORD, {"run_id": run.run_id, "name": name, "history": HISTORY})
    write_text(output / CARD, "# mine")
    provenance.save(output / PROVENANCE)
    write_checksums(output)
    return output, run.run_id


def losses(client: MlflowClient, run_id: str) -> list[tuple[int, float]]:
    return [(it.step, it.value) for it in client.get_metric_history(run_id, "train/loss")]


def test_a_finished_pretraining_is_a_version_of_its_own_registered_model(tmp_path: Path) -> None:
    output, run_id = finished(tmp_path, "versions")
    assert complete(output) == ("pretrained-versions", 1)
    client = open_store()
    run = client.get_run(run_id)
    assert (run.info.status, run.data.params["pretraining.epochs"]) == ("FINISHED", "2")
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert losses(client, run_id) == [(1, 3.0), (2, 2.0)]
    assert {it.path for it in client.list_artifacts(run_id)} == {CARD, PROVENANCE}
    found = mlflow.artifacts.download_artifacts("models:/pretrained-versions/1", dst_path=str(tmp_path / "copy"))
    assert checksums(Path(found)) == checksums(output)
    assert client.get_model_version("pretrained-versions", "1").description == "# mine"
    assert complete(output) == ("pretrained-versions", 1)
    (tmp_path / "second").mkdir()
    assert complete(finished(tmp_path / "second", "versions")[0]) == ("pretrained-versions", 2)


def test_what_is_missing_is_logged_later(tmp_path: Path) -> None:
    output, run_id = finished(tmp_path, "later", logged=1)
    complete(output)
    assert losses(open_store(), run_id) == [(1, 3.0), (2, 2.0)]


def test_a_pretraining_that_was_interrupted_goes_on_in_its_run(tmp_path: Path) -> None:
    provenance = provenance_of(CONFIG, [], "reviews", "0" * 64)
    with pytest.raises(KeyboardInterrupt), pretraining_run(provenance, tmp_path / "run.json") as first:
        raise KeyboardInterrupt
    assert open_store().get_run(first.run_id).info.status == "KILLED"
    with pretraining_run(provenance, tmp_path / "run.json") as second:
        assert second.run_id == first.run_id


def test_a_store_that_fails_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    provenance, calls = provenance_of(CONFIG, [], "reviews", "0" * 64), []

    def failing(*arguments: object) -> None:
        calls.append(arguments)
        raise OSError("No space left on device")

    with pretraining_run(provenance, tmp_path / "run.json") as run:
        monkeypatch.setattr(pretraining, "_log", failing)
        for epoch in (1, 2):
            run.log_epoch(epoch, {"train/loss": 1.0})
    assert len(calls) == 1
    assert "MLflow fails (No space left on device); the pretraining continues without it" in caplog.text


def test_a_run_of_another_store_is_created_again(tmp_path: Path) -> None:
    output, _ = finished(tmp_path, "moved")
    elsewhere = uuid.uuid4().hex
    write_json(output / RECORD, {"run_id": elsewhere, "name": "moved", "history": HISTORY})
    write_checksums(output)
    assert complete(output) == ("pretrained-moved", 1)
    assert get_run(open_store(), elsewhere).info.status == "FINISHED"
    assert complete(output) == ("pretrained-moved", 1)


def test_a_deleted_run_is_named(tmp_path: Path) -> None:
    output, run_id = finished(tmp_path, "deleted")
    open_store().delete_run(run_id)
    with pytest.raises(StoreError, match=f"run {run_id} is deleted; to restore it"):
        complete(output)
