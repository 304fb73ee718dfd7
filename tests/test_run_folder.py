import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from unroll.run_folder import EVALUATED, TRAINED, RunFolder, RunRecord

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
    folder.stamp("trained", {"code": "a"})
    folder.stamp("evaluated", {"code": "b"})
    return folder


def test_a_record_is_read_as_it_was_written(folder: RunFolder) -> None:
    assert folder.read_record() == RECORD
    timed = replace(RECORD, microseconds_per_token=2.5)
    folder.write_record(timed)
    folder.stamp("trained", {"code": "a"})
    assert RunFolder(folder.path).read_record() == timed


def test_keys_that_other_versions_write_are_no_obstacle(folder: RunFolder) -> None:
    content = json.loads(folder.record.read_text()) | {"more": 1}
    folder.record.write_text(json.dumps(content))
    folder.stamp("trained", {"code": "a"})
    assert RunFolder(folder.path).read_record() == RECORD


def test_its_figures_are_numbers_without_the_seed_and_without_booleans() -> None:
    assert set(RECORD.figures) == {"best_score", "best_epoch", "epochs", "training_seconds", "parameters", "size_bytes"}


def test_a_missing_record_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pipelines/train\.py dataset=reviews model=gru seed=3"):
        RunFolder(tmp_path / "models/reviews/gru/3").read_record()


def test_a_folder_of_any_depth_is_read(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.path)
    assert RunFolder(Path(".")).read_record() == folder.read_record()


@pytest.mark.parametrize("content", ['{"inputs": 4, "sha256": 3}', "[]", None])
def test_a_damaged_stamp_is_named(folder: RunFolder, content: str | None) -> None:
    stamp = folder.path / "trained.json"
    stamp.unlink()
    stamp.mkdir() if content is None else stamp.write_text(content)
    with pytest.raises(ValueError, match=r"trained\.json is damaged: (no checksums|missing sha256|a folder)"):
        folder.read_record()
    assert folder.inputs("trained") is None


def test_a_record_without_a_key_is_damaged(folder: RunFolder) -> None:
    content = json.loads(folder.record.read_text())
    del content["run_id"]
    folder.record.write_text(json.dumps(content))
    (folder.path / "trained.json").unlink()
    with pytest.raises(ValueError, match="run_id"):
        folder.read_record()


@pytest.mark.parametrize("name", ["run.json", "history.csv", "metrics.json", "predictions.parquet"])
def test_a_file_that_is_not_what_was_written_is_damaged(folder: RunFolder, name: str) -> None:
    file = folder.path / name
    content = file.read_bytes()
    assert folder.read(name, Path.read_bytes) == content
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    stamp = "trained" if name in TRAINED else "evaluated"
    said = rf"{name} is damaged \(its checksum is not that in {stamp}\.json\): recreate it with `python"
    with pytest.raises(ValueError, match=said):
        folder.read(name, Path.read_bytes)
    for stamp in ("trained.json", "evaluated.json"):  # as a training by hand leaves a folder
        (folder.path / stamp).unlink()
    assert RunFolder(folder.path).read(name, Path.read_bytes) != content


def test_the_same_inputs_and_files_are_up_to_date(folder: RunFolder) -> None:
    assert folder.is_current("trained", {"code": "a"})
    assert folder.is_current("evaluated", {"code": "b"})


def test_other_inputs_are_not(folder: RunFolder) -> None:
    assert not folder.is_current("trained", {"code": "x"})
    assert not folder.is_current("trained", {"code": "a", "more": "y"})
    assert not folder.is_current("evaluated", {"code": "a"})


@pytest.mark.parametrize("name", ["model/weights", "run.json", "history.csv", "training/config.json"])
def test_a_changed_file_of_the_training_is_noticed(folder: RunFolder, name: str) -> None:
    (folder.path / name).write_bytes(b"1235")
    assert not folder.is_current("trained", {"code": "a"})
    assert folder.is_current("evaluated", {"code": "b"})


@pytest.mark.parametrize("name", EVALUATED)
def test_a_changed_or_missing_file_of_the_evaluation_is_noticed(folder: RunFolder, name: str) -> None:
    (folder.path / name).unlink()
    assert not folder.is_current("evaluated", {"code": "b"})
    (folder.path / name).write_text("2")
    assert not folder.is_current("evaluated", {"code": "b"})
    assert folder.is_current("trained", {"code": "a"})


def test_a_file_more_in_the_model_is_noticed(folder: RunFolder) -> None:
    (folder.model / "more").touch()
    assert not folder.is_current("trained", {"code": "a"})


@pytest.mark.parametrize("content", ["{", "{}", "3", '{"inputs": 3, "sha256": 4}'])
def test_a_damaged_stamp_is_none(folder: RunFolder, content: str) -> None:
    (folder.path / "trained.json").write_text(content)
    assert not folder.is_current("trained", {"code": "a"})


def replace_results(folder: RunFolder) -> None:
    """By those of another training, which is not evaluated."""
    folder.discard_evaluation()
    (folder.model / "weights").unlink()
    (folder.model / "weights").write_bytes(b"other")
    folder.write_record(replace(RECORD, best_score=0.5))
    folder.stamp("trained", {"code": "c"})


def test_kept_results_come_back_with_their_inputs(folder: RunFolder) -> None:
    folder.keep()
    replace_results(folder)
    folder.keep()
    assert not folder.take_back({"code": "x"})
    for _ in range(2):  # they stay where they are kept
        assert folder.take_back({"code": "a"})
        assert folder.is_current("trained", {"code": "a"})
        assert folder.is_current("evaluated", {"code": "b"})
        assert folder.read_record() == RECORD
        assert folder.take_back({"code": "c"})
        assert (folder.model / "weights").read_bytes() == b"other"
        assert not folder.metrics.exists()


def test_keeping_again_adds_the_evaluation(folder: RunFolder) -> None:
    evaluation = {name: (folder.path / name).read_bytes() for name in (*EVALUATED, "evaluated.json")}
    folder.discard_evaluation()
    folder.keep()
    for name, content in evaluation.items():
        (folder.path / name).write_bytes(content)
    folder.keep()
    replace_results(folder)
    assert folder.take_back({"code": "a"})
    assert folder.is_current("evaluated", {"code": "b"})


def test_damaged_kept_results_are_not_taken_back(folder: RunFolder) -> None:
    folder.keep()
    replace_results(folder)
    (weights,) = folder.path.parents[2].glob(".kept/reviews/gru/3/*/model/weights")
    weights.write_bytes(b"1235")
    assert not folder.take_back({"code": "a"})
    assert folder.is_current("trained", {"code": "c"})


def test_damaged_results_with_the_same_inputs_are_replaced_by_the_kept_ones(folder: RunFolder) -> None:
    folder.keep()
    (folder.model / "weights").unlink()
    (folder.model / "weights").write_bytes(b"garbage")
    assert not folder.is_current("trained", {"code": "a"})
    assert folder.take_back({"code": "a"})
    assert folder.is_current("trained", {"code": "a"})


def test_results_without_a_stamp_are_replaced(folder: RunFolder) -> None:
    folder.keep()
    for name in ("trained.json", "evaluated.json"):
        (folder.path / name).unlink()
    (folder.model / "half").write_text("written")
    assert folder.take_back({"code": "a"})
    assert folder.is_current("trained", {"code": "a"})


@pytest.mark.parametrize("rename", range(1, 8))
def test_an_interruption_while_results_are_taken_back_loses_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, rename: int
) -> None:
    folder.keep()
    replace_results(folder)
    folder.keep()
    link, calls = os.link, iter(range(100))

    def interrupted(source: str, target: str) -> None:
        if next(calls) == rename:
            raise KeyboardInterrupt
        link(source, target)

    monkeypatch.setattr("os.link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.take_back({"code": "a"})
    assert not folder.is_current("trained", {"code": "a"})
    monkeypatch.setattr("os.link", link)
    assert folder.take_back({"code": "c"})
    assert folder.take_back({"code": "a"})
    assert folder.is_current("evaluated", {"code": "b"})
