import errno
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tests.tracking.repository import git
from tests.tracking.trained import make_provenance
from unroll.data.prepared import PreparedData
from unroll.exceptions import StoreUnavailable
from unroll.files import read_json, write_json
from unroll.tracking.provenance import Provenance
from unroll.tracking.runs import create_run, flatten, get_run, look_up, training_run
from unroll.tracking.store import open_store

LONG = "a path that goes on and on / " * 100
CONFIG: dict[str, Any] = {
    "seed": 3,
    "note": LONG,
    "plan": None,
    "dataset": {"label_names": ["bad", "good"], "columns": {"text": "text", "label": "label"}},
    "model": {"hidden_size": 5, "encoder": {"cell": {"_target_": "unroll.nn.GRU", "_partial_": True}}},
}


@pytest.fixture
def data(reviews: PreparedData) -> PreparedData:
    return reviews


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "run.json"


def logged(record: Path) -> Run:
    """The run in `record`, from the store."""
    return open_store().get_run(read_json(record)["run_id"])


def test_a_training_that_ends_well_has_a_run_to_be_finished_with_its_results(data: PreparedData, record: Path) -> None:
    with training_run(make_provenance(data, config=CONFIG), record) as run:
        run.log_metrics({"val/accuracy": 0.75, "parameters": 12})
    ended = logged(record)
    assert ended.info.run_id == run.run_id
    assert ended.info.status == "RUNNING"
    assert ended.info.run_name == "gru-3"
    assert ended.data.metrics == {"val/accuracy": 0.75, "parameters": 12.0}
    assert open_store().get_experiment(ended.info.experiment_id).name == "reviews"


BREAKS = [(ValueError, "FAILED"), (RuntimeError, "FAILED"), (SystemExit, "FAILED"), (KeyboardInterrupt, "KILLED")]


@pytest.mark.parametrize(("error", "status"), BREAKS)
def test_a_training_that_breaks_off_says_so(
    data: PreparedData, record: Path, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), training_run(make_provenance(data, config=CONFIG), record):
        raise error
    assert logged(record).info.status == status
    assert logged(record).info.end_time is not None


def test_an_interrupted_training_is_resumed_in_its_run(data: PreparedData, record: Path) -> None:
    with pytest.raises(KeyboardInterrupt), training_run(make_provenance(data, config=CONFIG), record) as first:
        first.log_metrics({"val/loss": 2.0})
        raise KeyboardInterrupt
    with training_run(make_provenance(data, config=CONFIG), record) as second:
        assert logged(record).info.status == "RUNNING"
        second.log_metrics({"val/loss": 1.0})
    assert second.run_id == first.run_id
    history = open_store().get_metric_history(first.run_id, "val/loss")
    assert [metric.value for metric in history] == [2.0, 1.0]


def test_a_training_whose_run_is_in_another_store_begins_a_new_one(data: PreparedData, record: Path) -> None:
    record.parent.mkdir()
    write_json(record, {"run_id": "0" * 32})
    with training_run(make_provenance(data, config=CONFIG), record) as run:
        assert run.run_id != "0" * 32
    assert logged(record).info.run_id == run.run_id


def test_trainings_without_a_record_are_runs_of_their_own(data: PreparedData, tmp_path: Path) -> None:
    ids = set()
    for name in "ab":
        with training_run(make_provenance(data, config=CONFIG), tmp_path / name / "run.json") as run:
            ids.add(run.run_id)
    assert len(ids) == 2


def test_every_leaf_of_the_configuration_is_a_parameter(data: PreparedData, record: Path) -> None:
    with training_run(make_provenance(data, config=CONFIG), record):
        pass
    assert logged(record).data.params == {
        "seed": "3",
        "note": LONG,
        "plan": "None",
        "dataset.label_names": "['bad', 'good']",
        "dataset.columns.text": "text",
        "dataset.columns.label": "label",
        "model.hidden_size": "5",
        "model.encoder.cell._target_": "unroll.nn.GRU",
        "model.encoder.cell._partial_": "True",
    }


def test_names_of_files_and_labels_that_mlflow_would_refuse_are_logged(
    data: PreparedData, record: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {
        "data/train+1 (a@b).csv": "a",
        "../<b>x</b>//y.csv": "b",
        "k" * 400: "c",
        "a\n\x1b.csv": "d",
        "é 日.csv": "e",
    }
    config = {
        "dataset": {"sha256": files, "path": "\x1b[1m<img>\n" * 1000, "label_names": ["<b>", "a\x00b", "x" * 9000]}
    }
    provenance = make_provenance(data, "hostile", config)
    for key in ("dataset.path", "git.mixed"):
        provenance.tags[key] = config["dataset"]["path"]
    with training_run(provenance, record):
        pass
    run = logged(record)
    assert {key: value for key, value in run.data.params.items() if key.startswith("dataset.sha256.")} == {
        "dataset.sha256.data/train_1 _a_b_.csv": "a",
        "dataset.sha256.../_b_x_/b_/y.csv": "b",
        "dataset.sha256." + "k" * 185: "c",
        "dataset.sha256.a__.csv": "d",
        "dataset.sha256.é 日.csv": "e",
    }
    assert "truncated" not in caplog.text  # MLflow's warning contains the value, with its control characters
    assert run.data.params["dataset.label_names"].startswith("['<b>', 'a\\x00b', 'xxx")
    assert run.data.tags["dataset.path"].startswith("\x1b[1m<img>\n")
    (used,) = run.inputs.dataset_inputs
    assert "<img>" in used.dataset.source
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/training"))
    assert Provenance.load(folder).config == config  # the artifact has the whole values


def test_more_parameters_than_fit_one_request_are_logged(data: PreparedData, record: Path) -> None:
    config = {"part": {f"key{i}": i for i in range(250)}}
    with training_run(make_provenance(data, config=config), record):
        pass
    assert logged(record).data.params == {f"part.key{i}": str(i) for i in range(250)}


def test_the_data_are_tags_and_an_input(data: PreparedData, record: Path) -> None:
    with training_run(make_provenance(data, config=CONFIG), record):
        pass
    run = logged(record)
    source = data.description["source"]
    assert run.data.tags["dataset"] == "reviews"
    assert run.data.tags["dataset.path"] == source["path"]
    assert "dataset.revision" not in run.data.tags  # a folder has no revision
    assert run.data.tags["dataset.checksum"] == data.checksum
    assert run.data.tags["task"] == "classification"
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "reviews"
    assert data.checksum.startswith(used.dataset.digest)
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "training"}


def test_data_of_the_hub_are_tagged_with_their_commit(
    data: PreparedData, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"path": "acme/reviews", "name": None, "revision": "main", "commit": "a" * 40}
    monkeypatch.setitem(data.description, "source", source)
    with training_run(make_provenance(data, "of-the-hub", CONFIG), record):
        pass
    run = logged(record)
    assert run.data.tags["dataset.revision"] == "a" * 40
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.source_type == "hub"
    assert "a" * 40 in used.dataset.source


def test_the_commit_is_a_tag(data: PreparedData, record: Path, repository: Path) -> None:
    with training_run(make_provenance(data, config=CONFIG), record):
        pass
    assert logged(record).data.tags["mlflow.source.git.commit"] == git(repository, "rev-parse", "HEAD")
    assert logged(record).data.tags["git.changed"] == "false"


def test_what_it_takes_to_train_again_is_an_artifact(data: PreparedData, record: Path) -> None:
    provenance = make_provenance(data, config=CONFIG)
    with training_run(provenance, record) as run:
        pass
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.run_id}/training"))
    assert Provenance.load(folder) == provenance
    assert read_json(folder / "config.json") == CONFIG


def test_a_run_is_marked_with_its_own_tags(data: PreparedData, record: Path) -> None:
    with training_run(make_provenance(data, reproduces="0" * 32), record):
        pass
    assert logged(record).data.tags["reproduces"] == "0" * 32


def test_a_run_is_found_by_its_id_and_by_that_of_the_run_it_replaces(data: PreparedData) -> None:
    client, old = open_store(), uuid.uuid4().hex
    run_id = create_run(client, make_provenance(data), original_id=old)
    for name in (run_id, old):
        assert get_run(client, name).info.run_id == run_id


@pytest.mark.parametrize("name", ["0" * 32, "nonsense", "it's"])
def test_a_run_that_is_not_there_is_an_error_that_names_the_command(tracking_uri: str, name: str) -> None:
    client = open_store()
    assert look_up(client, name) is None
    with pytest.raises(ValueError) as error:
        get_run(client, name)
    for part in (tracking_uri, name, "python pipelines/upload.py", "MLFLOW_TRACKING_URI"):
        assert part in str(error.value)


def test_a_deleted_run_is_an_error_that_says_how_to_bring_it_back(data: PreparedData) -> None:
    client = open_store()
    run_id = create_run(client, make_provenance(data))
    client.delete_run(run_id)
    with pytest.raises(ValueError, match=f"mlflow runs restore --run-id {run_id}"):
        get_run(client, run_id)


def test_a_store_that_fails_when_a_run_is_opened_is_an_error(
    data: PreparedData, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_artifacts", fail)
    with pytest.raises(StoreUnavailable, match="No space left"), training_run(make_provenance(data), record):
        pass
    assert logged(record).info.status == "FAILED"


def test_a_training_killed_while_its_run_is_created_is_resumed_in_that_run(
    data: PreparedData, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provenance = make_provenance(data, config=CONFIG)
    with monkeypatch.context() as patch, suppress(SystemExit):
        patch.setattr(MlflowClient, "log_artifacts", lambda *_: sys.exit())
        patch.setattr(MlflowClient, "set_terminated", lambda *_: None)  # a killed process does not end its run
        with training_run(provenance, record):
            pass
    begun = logged(record)
    assert begun.info.status == "RUNNING"
    with training_run(provenance, record) as run:
        assert run.run_id == begun.info.run_id
    assert Provenance.load(Path(mlflow.artifacts.download_artifacts(f"runs:/{run.run_id}/training"))) == provenance


def test_a_store_that_fails_when_a_training_is_resumed_is_an_error_and_no_second_run(
    data: PreparedData, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise MlflowException("API request failed")

    with training_run(make_provenance(data, "alone", CONFIG), record):
        pass
    first = record.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "update_run", fail)
        with pytest.raises(StoreUnavailable, match="API request failed"), training_run(make_provenance(data), record):
            pass
    assert record.read_bytes() == first


def test_a_training_whose_run_was_deleted_begins_a_new_one(data: PreparedData, record: Path) -> None:
    with training_run(make_provenance(data, config=CONFIG), record) as first:
        pass
    first.client.delete_run(first.run_id)
    with training_run(make_provenance(data, config=CONFIG), record) as second:
        assert second.run_id != first.run_id


def test_a_run_that_is_resumed_with_other_code_is_marked(data: PreparedData, record: Path, repository: Path) -> None:
    provenance = make_provenance(data, config=CONFIG)
    with training_run(provenance, record) as run:
        pass
    assert provenance.resumed() == provenance
    (repository / "README.md").write_text("two")
    (repository / "conf/train.yaml").write_text("two")
    assert provenance.resumed() == provenance  # configurations are compared after composition
    (repository / "src/net.py").write_text("two")
    mixed = provenance.resumed()
    with training_run(mixed, record):
        pass
    assert logged(record).data.tags["git.mixed"] == "code src/net.py"
    assert Provenance.load(Path(mlflow.artifacts.download_artifacts(f"runs:/{run.run_id}/training"))) == mixed
    git(repository, "checkout", "-q", ".")
    assert mixed.resumed() == mixed


def test_a_training_that_breaks_off_without_its_store_breaks_off_with_its_own_error(
    data: PreparedData, record: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any) -> None:
        raise MlflowException("API request failed")

    with pytest.raises(RuntimeError, match="its own"), training_run(make_provenance(data), record):
        monkeypatch.setattr(MlflowClient, "set_terminated", fail)
        raise RuntimeError("its own")
    assert "API request failed" in caplog.text


def test_nested_keys_are_flattened_to_dotted_ones() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [2]}, "e": None}) == {"a.b.c": 1, "a.d": [2], "e": None}
    assert flatten({}) == {}
