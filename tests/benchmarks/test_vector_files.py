"""The steps that `python -m benchmarks.vector_files` measures."""

from pathlib import Path

import pytest

from benchmarks import vector_files
from unroll.data.vectors import cache
from unroll.data.vectors.files import VectorsFile
from unroll.data.vectors.read import read_words


def test_a_generated_file_has_the_words_and_numbers_asked_for(tmp_path: Path) -> None:
    vector_files.generate(tmp_path / "vectors.txt", words=2003, width=3)
    lines = (tmp_path / "vectors.txt").read_text().splitlines()
    assert len(lines) == 2003 and {line.count(" ") for line in lines} == {3}
    assert read_words(VectorsFile(tmp_path / "vectors.txt"))[-1] == "w2002"


def test_what_the_first_reading_keeps_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGE", 1)
    path = tmp_path / "vectors.txt"
    vector_files.generate(path, words=20, width=3)
    first = vector_files.cost(vector_files.vectors, path, range(0, 20, 2))
    assert first.seconds > 0 and first.megabytes > 1
    monkeypatch.setattr(cache, "read_vectors", None)  # would raise
    vector_files.cost(vector_files.vectors, path, range(0, 20, 2))
