"""Finding the folder of pretrained weights."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny import OPTIONS
from tests.training.pretrained_folders import save_vectors
from unroll.data.prepared import PreparedData
from unroll.data.pretrained import pretrained_checksum, pretrained_folder


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with one folder of pretrained weights."""
    save_vectors(tmp_path / "pretrained" / "imdb", ["good"])
    monkeypatch.chdir(tmp_path)


def test_it_is_found_by_its_name_and_by_its_path(tmp_path: Path) -> None:
    assert pretrained_folder("imdb") == Path("pretrained/imdb")
    assert pretrained_folder("pretrained/imdb") == Path("pretrained/imdb")
    assert pretrained_folder(f"{tmp_path}/pretrained/imdb") == tmp_path / "pretrained/imdb"


def test_another_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^pretrained=wiki: neither pretrained/wiki nor wiki .*; accepted: imdb, or"):
        replace(OPTIONS, pretrained="wiki")


def test_without_any_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    with pytest.raises(ValueError, match=r"accepted: what python pipelines/pretrain\.py has made"):
        replace(OPTIONS, pretrained="imdb")


def test_it_goes_with_no_file_of_vectors(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").touch()
    with pytest.raises(ValueError, match=r"^pretrained=imdb and vectors=glove\.txt: .*; accepted: one of the two$"):
        replace(OPTIONS, pretrained="imdb", vectors="glove.txt")


def test_the_checksum_is_of_what_a_training_reads(reviews: PreparedData) -> None:
    before = pretrained_checksum("imdb", reviews)
    Path("pretrained/imdb/report.json").write_text("{}")
    assert pretrained_checksum("imdb", reviews) == before
    Path("pretrained/imdb/vocabulary.json").write_text("[]")
    assert pretrained_checksum("imdb", reviews) != before
