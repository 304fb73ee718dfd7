"""The lines of `python -m benchmarks.scores`, and its errors."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from benchmarks import scores
from benchmarks.shipped import CONF


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["scores", *arguments])
    scores.main()


@pytest.mark.parametrize("entry", [entry for group in scores.GROUPS.values() for entry in group])
def test_every_line_composes_on_its_datasets(entry: scores.Entry) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for dataset in entry.datasets:
            compose("train", [f"dataset={dataset}", *entry.overrides.split()])


def test_lines_are_chosen_by_word() -> None:
    assert [entry.overrides for entry in scores.chosen(["models"], ["=qrnn", "=lru"], False)] == [
        "model=qrnn trainer.max_epochs=5",
        "model=lru trainer.max_epochs=5",
    ]


def test_a_line_that_needs_vectors_is_skipped_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    entries = scores.chosen(["best"], [""], with_vectors=False)
    assert entries and not any("FILE" in entry.overrides for entry in entries)
    assert capsys.readouterr().out.startswith("skipped: model=bilstm_char_crf")
    assert len(scores.chosen(["best"], [""], with_vectors=True)) == len(entries) + 1


def test_a_missing_dataset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=f"error: no folder {tmp_path}/conll2003"):
        run(monkeypatch, str(tmp_path), "--only", "best", "--match", "crf")


def test_a_word_that_no_line_has_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, str(tmp_path), "--match", "transformer")
    assert "--match transformer: no line contains one of these words" in capsys.readouterr().err


def test_a_cell_is_mean_spread_and_seconds() -> None:
    results = [scores.Result(0.70, 10.0), scores.Result(0.80, 20.0)]
    assert scores.cell(results) == "75.00 ± 7.07 (15 s)"
    assert scores.cell(results[:1]) == "70.00 (10 s)"
    assert scores.cell([]) == ""


def test_a_table_has_the_columns_that_its_lines_fill() -> None:
    assert scores.datasets(scores.GROUPS["models"]) == ["rotten_tomatoes", "conll2003"]
    assert scores.datasets(scores.GROUPS["baselines"]) == ["rotten_tomatoes", "imdb", "conll2003"]
