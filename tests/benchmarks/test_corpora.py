from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.corpora import Corpora, MissingCorpus


def test_a_copy_is_downloaded_and_prepared_as_its_configuration_says(
    tmp_path: Path, write_dataset: Callable[..., Path]
) -> None:
    rows = {"text": ["one two", "three", "four five"] * 8, "label": [0, 1] * 12}
    write_dataset(tmp_path / "copies" / "imdb", {"train": rows, "test": rows}, {"label": ["neg", "pos"]})
    data = Corpora(tmp_path / "copies", tmp_path / "work").public("imdb")
    assert data.label_names == ["neg", "pos"]
    assert len(data.split("test")) == 24


def test_a_missing_copy_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingCorpus, match=f"{tmp_path}/imdb"):
        Corpora(tmp_path, tmp_path / "work").public("imdb")


def test_made_up_sentences_are_all_of_one_length(tmp_path: Path) -> None:
    data = Corpora(tmp_path, tmp_path / "work").made_up(sentences=5, length=7, words=50)
    assert data.task == "labeling"
    assert data.split("train").lengths.tolist() == [7] * 5
