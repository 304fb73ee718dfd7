import json
from dataclasses import replace
from pathlib import Path

import pytest

from unroll.run_folder import EVALUATED, RunFolder, RunRecord

RECORD = RunRecord(
    dataset="reviews",
    task="classification",
    model="gru",
    seed=3,
    run_id="abc",
    monitor="val/accuracy",
    best_score=0.75,
    best_epoch=2,
    epochs=4,
    training_seconds=1.5,
    parameters=100,
    seeded=True,
    size_bytes=400,
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run that is trained and evaluated."""
    folder = RunFolder(tmp_path / "models/reviews/gru/3")
    folder.model.mkdir(parents=True)
    (folder.model / "weights").write_bytes(b"1234")
    folder.provenance.mkdir()
    (folder.provenance / "config.json").write_text("{}")
    folder.history.write_text("epoch\n1\n")
    folder.write_record(RECORD)
    for name in EVALUATED:
        (folder.path / name).write_text("1")
    folder.stamp_training({"code": "a"})
    folder.stamp_evaluation({"code": "b"})
    return folder


def test_a_record_is_read_as_it_was_written(folder: RunFolder) -> None:
    assert folder.read_record() == RECORD
    timed = replace(RECORD, microseconds_per_token=2.5)
    folder.write_record(timed)
    assert folder.read_record() == timed


def test_keys_that_other_versions_write_are_no_obstacle(folder: RunFolder) -> None:
    content = json.loads(folder.record.read_text()) | {"more": 1}
    folder.record.write_text(json.dumps(content))
    assert folder.read_record() == RECORD


def test_its_figures_are_numbers_without_the_seed_and_without_booleans() -> None:
    assert set(RECORD.figures) == {"best_score", "best_epoch", "epochs", "training_seconds", "parameters", "size_bytes"}


def test_a_missing_record_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pipelines/train\.py dataset=reviews model=gru seed=3"):
        RunFolder(tmp_path / "models/reviews/gru/3").read_record()


def test_a_record_without_a_key_is_damaged(folder: RunFolder) -> None:
    content = json.loads(folder.record.read_text())
    del content["run_id"]
    folder.record.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="run_id"):
        folder.read_record()


def test_the_same_inputs_and_files_are_up_to_date(folder: RunFolder) -> None:
    assert folder.is_trained({"code": "a"})
    assert folder.is_evaluated({"code": "b"})


def test_other_inputs_are_not(folder: RunFolder) -> None:
    assert not folder.is_trained({"code": "x"})
    assert not folder.is_trained({"code": "a", "more": "y"})
    assert not folder.is_evaluated({"code": "a"})


@pytest.mark.parametrize("name", ["model/weights", "run.json", "history.csv", "training/config.json"])
def test_a_changed_file_of_the_training_is_noticed(folder: RunFolder, name: str) -> None:
    (folder.path / name).write_bytes(b"1235")
    assert not folder.is_trained({"code": "a"})
    assert folder.is_evaluated({"code": "b"})


@pytest.mark.parametrize("name", EVALUATED)
def test_a_changed_or_missing_file_of_the_evaluation_is_noticed(folder: RunFolder, name: str) -> None:
    (folder.path / name).unlink()
    assert not folder.is_evaluated({"code": "b"})
    (folder.path / name).write_text("2")
    assert not folder.is_evaluated({"code": "b"})
    assert folder.is_trained({"code": "a"})


def test_a_file_more_in_the_model_is_noticed(folder: RunFolder) -> None:
    (folder.model / "more").touch()
    assert not folder.is_trained({"code": "a"})


def test_a_damaged_stamp_is_none(folder: RunFolder) -> None:
    (folder.path / "trained.json").write_text("{")
    assert not folder.is_trained({"code": "a"})


def test_earlier_results_come_back_with_their_inputs(folder: RunFolder) -> None:
    folder.set_aside()
    assert not folder.model.exists()
    assert not folder.is_trained({"code": "a"})
    folder.model.mkdir()
    (folder.model / "weights").write_bytes(b"other")
    folder.write_record(replace(RECORD, seed=3, best_score=0.5))
    folder.stamp_training({"code": "c"})

    assert not folder.take_back({"code": "x"})
    assert folder.take_back({"code": "a"})
    assert folder.is_trained({"code": "a"})
    assert folder.is_evaluated({"code": "b"})
    assert folder.read_record() == RECORD
    assert folder.take_back({"code": "c"})  # what it replaced was kept in turn
    assert (folder.model / "weights").read_bytes() == b"other"
    assert not folder.metrics.exists()


def test_damaged_earlier_results_stay_where_they_are(folder: RunFolder) -> None:
    folder.set_aside()
    (weights,) = folder.path.parents[2].glob(".earlier/reviews/gru/3/*/model/weights")
    weights.write_bytes(b"1235")
    assert not folder.take_back({"code": "a"})
    assert not folder.model.exists()
