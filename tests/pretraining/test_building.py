"""What a corpus is made of, and what is left out."""

import json
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config

from tests.pretraining.conftest import Build
from unroll.data.prepared import PreparedData
from unroll.data.tokenizer import Tokenizer
from unroll.pretraining.building import CorpusOptions, build_corpus, coverage

LONG = "one two three four five six seven eight nine ten eleven twelve"


def description(tmp_path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((tmp_path / "corpora/mine/corpus.json").read_text())
    return found


def test_texts_of_evaluations_are_left_out(build: Build, tmp_path: Path) -> None:
    near = LONG.replace("twelve", "dozen")
    corpus = build(["So good.", LONG, "other words"], ["so GOOD !", near])
    assert len(corpus.sequences) == 1
    assert corpus.vocabulary[2:] == ["other", "words"]
    facts = description(tmp_path)
    assert facts["dropped"] == {"in test of others": 2}
    assert facts["compared_with"] == {"test of others": 2}
    # Words that only texts of evaluations have are no row of the table.
    assert len(corpus.table.words) == 1 + len({"So", "good", ".", *LONG.split(), "other", "words"})


def test_same_chooses_which_texts_are_taken_for_those(build: Build) -> None:
    texts, near = ["so good", LONG], LONG.replace("twelve", "dozen")
    for same, left in (("tokens", 2), ("words", 1), ("near", 0)):
        kept = [*texts, "another"]
        assert len(build(kept, ["So good!", near], same=same).sequences) == left + 1


def test_repeated_texts_stand_once(build: Build, tmp_path: Path) -> None:
    assert len(build(["So good.", "so good", "bad", "so good!"]).sequences) == 2
    assert description(tmp_path)["dropped"] == {"repeated": 2}


def test_documents_that_cannot_be_used_are_counted(build: Build, tmp_path: Path) -> None:
    corpus = build(["good", "  ", None, ["Given", "tokens"], [], ["\u200b"]])
    assert [len(it) for it in corpus.sequences] == [1, 2]
    assert description(tmp_path)["dropped"] == {"empty text": 3, "not a text in UTF-8": 1}


@pytest.mark.parametrize(
    ("texts", "shown"), [([], "no document"), (["", " "], "2 empty text"), (["good"], "1 in test of others")]
)
def test_an_empty_corpus_is_refused(build: Build, tmp_path: Path, texts: list[str], shown: str) -> None:
    with pytest.raises(ValueError, match=rf"mine has no usable document \({shown}\); accepted: one or more texts"):
        build(texts, ["Good"])
    assert not (tmp_path / "corpora/mine").exists()


def test_a_single_document_is_not_held_out(build: Build) -> None:
    corpus = build(["alone"], held_out=0.5)
    assert (len(corpus.sequences), len(corpus.held_out)) == (1, 0)


def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    options = CorpusOptions({"texts": {"path": "texts"}})
    folders = []
    for processes in (1, 2):
        batches = ([f"text {i} of batch {batch}" for i in range(5)] for batch in range(6))
        folders.append(tmp_path / str(processes))
        with parallel_config(backend="threading"):  # starting processes takes seconds
            build_corpus({"texts": batches}, {}, Tokenizer(), options, folders[-1], {}, processes)  # type: ignore[dict-item]
    one, two = ((it / "sha256.json").read_text() for it in folders)
    assert one == two


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": {}}, r"corpus\.sources=\{\}; accepted: one or more"),
        ({"held_out": 1.0}, r"corpus\.held_out=1\.0; accepted: 0 to below 1"),
        ({"seed": -1}, r"corpus\.seed=-1; accepted: a whole number from 0 to 4294967295"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorpusOptions(**{"sources": {"a": {"path": "b"}}, **options})  # type: ignore[arg-type]


def test_coverage_is_the_share_of_a_datasets_tokens(build: Build, reviews: PreparedData) -> None:
    assert coverage(build(["good"]), reviews) == share(reviews, {"good"})
    assert coverage(build([" ".join(reviews.schema.vocabulary[2:])]), reviews) == 1


def share(data: PreparedData, words: set[str]) -> float:
    tokens = data.table.words[data.split("train").tokens]
    return float(np.mean([data.schema.vocabulary[i] in words for i in tokens]))
