"""The sources of a corpus, and when it is made."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plan.conftest import config_of
from unroll.data.prepared import PreparedData
from unroll.data.source import COLUMNS
from unroll.files import checksums
from unroll.plan import corpora
from unroll.plan.corpora import CorpusFolder


@pytest.fixture
def dataset(reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the downloaded and prepared dataset `reviews`, as the current folder."""
    monkeypatch.chdir(tmp_path)
    declared = {"task": "classification", "path": "hub", "columns": {it: it for it in COLUMNS["classification"][0]}}
    Path("conf/dataset").mkdir(parents=True)
    Path("conf/dataset/reviews.yaml").write_text(yaml.safe_dump(declared))
    for part in ("raw", "prepared"):
        shutil.copytree(reviews.folder.parent / part, Path("data", part, "reviews"))
    monkeypatch.setattr(corpora, "compose_again", lambda stage, overrides: {"dataset": declared})
    return tmp_path


def folder(sources: dict[str, Any], **corpus: Any) -> CorpusFolder:
    return CorpusFolder("mine", config_of({"sources": sources, "exclude": None, "held_out": 0.0, **corpus}))


def test_a_corpus_of_a_dataset_is_without_its_texts_of_evaluations(dataset: Path) -> None:
    corpus, description, coverage = folder({"train": {"dataset": "reviews"}}).make()
    assert description["read"] == {"train": 44}
    assert description["compared_with"] == {"validation of reviews": 18, "test of reviews": 18}
    assert set(description["dropped"]) <= {"in validation of reviews", "in test of reviews", "repeated"}
    assert len(corpus.sequences) == 44 - sum(description["dropped"].values())
    assert set(coverage) == {"reviews"}
    assert coverage["reviews"] > 0.9


def test_it_is_made_again_only_if_something_has_changed(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.txt").write_text("one text\nanother text\n")
    sources = {"texts": {"path": "a.txt"}}
    first = folder(sources).make()
    assert capsys.readouterr().out == "data/corpora/mine: 2 texts, 4 tokens, 3 words; left out: none\n"
    assert folder(sources).make()[0].checksum == first[0].checksum
    assert capsys.readouterr().out == ""
    Path("a.txt").write_text("one text\nanother text\nso  good\n")
    assert "3 texts" in made(sources, capsys)
    assert "3 texts, 2 tokens" in made(sources, capsys, held_out=0.5)
    shutil.rmtree("data/raw/reviews")
    assert "3 texts" in made(sources, capsys)


def made(sources: dict[str, Any], capsys: pytest.CaptureFixture[str], **corpus: Any) -> str:
    folder(sources, **corpus).make()
    return capsys.readouterr().out


def test_a_damaged_corpus_is_named_with_the_way_back(dataset: Path) -> None:
    Path("a.txt").write_text("one text\n")
    folder({"texts": {"path": "a.txt"}}).make()
    before = checksums(Path("data/corpora/mine"))
    Path("data/corpora/mine/counts.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"counts\.npy changed .*; delete it: rm -r data/corpora/mine"):
        folder({"texts": {"path": "a.txt"}}).make()
    shutil.rmtree("data/corpora/mine")
    folder({"texts": {"path": "a.txt"}}).make()
    assert checksums(Path("data/corpora/mine")) == before


def test_a_corpus_with_few_words_of_a_dataset_is_warned_of(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    Path("a.txt").write_text("something else entirely\n")
    _, _, coverage = folder({"texts": {"path": "a.txt"}}).make()
    assert coverage == {"reviews": 0.0}
    assert "corpus=mine has the words of 0% of the tokens of reviews, which will gain little" in caplog.text


def test_raw_data_of_no_declared_dataset_are_warned_of(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    Path("conf/dataset/reviews.yaml").rename("conf/dataset/other.yaml")
    Path("a.txt").write_text("one text\n")
    _, description, _ = folder({"texts": {"path": "a.txt"}}).make()
    assert description["compared_with"] == {}
    assert "nothing in conf/dataset says which texts of reviews are for evaluations" in caplog.text


@pytest.mark.parametrize(
    ("sources", "corpus", "message"),
    [
        ({"a": {"dataset": "nope"}}, {}, r"corpus\.sources\.a\.dataset='nope'; accepted: reviews"),
        ({"a": {"dataset": "reviews"}}, {"exclude": ["nope"]}, r"corpus\.exclude='nope'; accepted: reviews"),
        ({"a": {}}, {}, r"corpus\.sources\.a: dataset=None, path=None: accepted: one of the two"),
        ({"a": {"pth": "x"}}, {}, r"corpus\.sources\.a\.pth: unknown key \(did you mean 'path'\?\)"),
        ({"a": {"path": 1}}, {}, r"corpus\.sources\.a\.path=1: input should be a valid string"),
        ({"a b": {"path": "x"}}, {}, r"corpus\.sources='a b'; accepted: a name"),
        ({"a": {"path": "x"}}, {"same": "exact"}, r"corpus\.same='exact': input should be 'tokens', 'words' or 'near'"),
        ({"a": {"path": "x"}}, {"hold_out": 0.1}, r"corpus\.hold_out: unknown key \(did you mean 'held_out'\?\)"),
        ({"a": {"path": "nowhere.txt"}}, {}, r"corpus\.sources\.a\.path='nowhere\.txt': no such folder or file"),
    ],
)
def test_wrong_options_are_refused(
    dataset: Path, sources: dict[str, Any], corpus: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        folder(sources, **corpus)


def test_a_dataset_that_is_not_prepared_is_named(dataset: Path) -> None:
    shutil.rmtree("data/prepared")
    with pytest.raises(ValueError, match=r"python pipelines/prepare\.py dataset=reviews"):
        folder({"a": {"dataset": "reviews"}})
    Path("a.txt").write_text("one text\n")
    assert folder({"a": {"path": "a.txt"}}).make()[2] == {}  # all of its splits were downloaded
    shutil.rmtree("data/raw")
    with pytest.raises(ValueError, match=r"python pipelines/download\.py dataset=reviews"):
        folder({"a": {"dataset": "reviews"}})


def test_subwords_are_refused() -> None:
    config = config_of({"sources": {"a": {"path": "x"}}})
    config["tokenizer"] |= {"subwords": "bpe"}
    with pytest.raises(ValueError, match=r"tokenizer\.subwords=bpe: .*; accepted: null"):
        CorpusFolder("mine", config)
