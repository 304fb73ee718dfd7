from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tests.tracking.repository import commit_everything
from unroll.data.prepared import PreparedData
from unroll.files import read_json, write_json
from unroll.tracking.runs import find_run, flatten, git_tags, training_run
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
    """The run that `record` names, as the store has it."""
    return open_store().get_run(read_json(record)["run_id"])


def test_a_training_that_ends_well_is_finished(data: PreparedData, record: Path) -> None:
    with training_run("reviews", "gru-3", CONFIG, data, record) as run:
        assert logged(record).info.status == "RUNNING"
        run.log_metrics({"val/accuracy": 0.75, "parameters": 12})
    ended = logged(record)
    assert ended.info.run_id == run.run_id
    assert ended.info.status == "FINISHED"
    assert ended.info.run_name == "gru-3"
    assert ended.data.metrics == {"val/accuracy": 0.75, "parameters": 12.0}
    assert open_store().get_experiment(ended.info.experiment_id).name == "reviews"


BREAKS = [(ValueError, "FAILED"), (RuntimeError, "FAILED"), (SystemExit, "FAILED"), (KeyboardInterrupt, "KILLED")]


@pytest.mark.parametrize(("error", "status"), BREAKS)
def test_a_training_that_breaks_off_says_so(
    data: PreparedData, record: Path, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), training_run("reviews", "gru-3", CONFIG, data, record):
        raise error
    assert logged(record).info.status == status
    assert logged(record).info.end_time is not None


def test_an_interrupted_training_goes_on_in_its_run(data: PreparedData, record: Path) -> None:
    with pytest.raises(KeyboardInterrupt), training_run("reviews", "gru-3", CONFIG, data, record) as first:
        first.log_metrics({"val/loss": 2.0})
        raise KeyboardInterrupt
    with training_run("reviews", "gru-3", CONFIG, data, record) as second:
        assert logged(record).info.status == "RUNNING"
        second.log_metrics({"val/loss": 1.0})
    assert second.run_id == first.run_id
    assert logged(record).info.status == "FINISHED"
    history = open_store().get_metric_history(first.run_id, "val/loss")
    assert [metric.value for metric in history] == [2.0, 1.0]


def test_a_training_whose_run_is_in_another_store_begins_a_new_one(data: PreparedData, record: Path) -> None:
    record.parent.mkdir()
    write_json(record, {"run_id": "0" * 32})
    with training_run("reviews", "gru-3", CONFIG, data, record) as run:
        assert run.run_id != "0" * 32
    assert logged(record).info.status == "FINISHED"


def test_trainings_without_a_record_are_runs_of_their_own(data: PreparedData, tmp_path: Path) -> None:
    ids = set()
    for name in "ab":
        with training_run("reviews", "gru-3", CONFIG, data, tmp_path / name / "run.json") as run:
            ids.add(run.run_id)
    assert len(ids) == 2


def test_every_leaf_of_the_configuration_is_a_parameter(data: PreparedData, record: Path) -> None:
    with training_run("reviews", "gru-3", CONFIG, data, record):
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


def test_more_parameters_than_fit_one_request_are_logged(data: PreparedData, record: Path) -> None:
    config = {"part": {f"key{i}": i for i in range(250)}}
    with training_run("reviews", "gru-3", config, data, record):
        pass
    assert logged(record).data.params == {f"part.key{i}": str(i) for i in range(250)}


def test_the_data_are_tags_and_an_input(data: PreparedData, record: Path) -> None:
    with training_run("reviews", "gru-3", CONFIG, data, record):
        pass
    run = logged(record)
    source = data.description["source"]
    assert run.data.tags["dataset"] == "reviews"
    assert run.data.tags["dataset.path"] == source["path"]
    assert "dataset.revision" not in run.data.tags  # a folder has none
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
    with training_run("of-the-hub", "gru-3", CONFIG, data, record):
        pass
    run = logged(record)
    assert run.data.tags["dataset.revision"] == "a" * 40
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.source_type == "hub"
    assert "a" * 40 in used.dataset.source


def test_the_commit_is_a_tag(data: PreparedData, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = commit_everything(tmp_path)
    monkeypatch.chdir(tmp_path)
    with training_run("reviews", "gru-3", CONFIG, data, record):
        pass
    assert logged(record).data.tags["mlflow.source.git.commit"] == commit
    assert logged(record).data.tags["git.changed"] == "false"


def test_code_that_was_changed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = commit_everything(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert git_tags() == {"mlflow.source.git.commit": commit, "git.changed": "false"}
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "new.yaml").write_text("two")
    assert git_tags() == {"mlflow.source.git.commit": commit, "git.changed": "true"}


def test_outside_a_repository_or_without_git_there_are_no_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_tags() == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_tags() == {}


def test_a_run_is_found_and_open_for_writing(data: PreparedData, record: Path) -> None:
    with training_run("reviews", "gru-3", CONFIG, data, record) as run:
        pass
    find_run(run.run_id).log_metrics({"test/accuracy": 0.5})
    assert logged(record).data.metrics == {"test/accuracy": 0.5}
    assert logged(record).info.status == "FINISHED"


def test_a_run_that_is_not_there_is_an_error(tracking_uri: str) -> None:
    with pytest.raises(ValueError) as error:
        find_run("0" * 32)
    for part in (tracking_uri, "0" * 32, "train again", "MLFLOW_TRACKING_URI"):
        assert part in str(error.value)
    assert isinstance(error.value.__cause__, MlflowException)


def test_nested_keys_are_flattened_to_dotted_ones() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [2]}, "e": None}) == {"a.b.c": 1, "a.d": [2], "e": None}
    assert flatten({}) == {}
