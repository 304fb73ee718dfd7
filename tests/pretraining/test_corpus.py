"""Corpora on disk."""

from pathlib import Path

import numpy as np
import pytest

from tests.pretraining.conftest import Build
from unroll.data.tokens import UNKNOWN, Casing
from unroll.pretraining.corpus import TokenCorpus

TEXTS = ["The film, the FILM", "the end", "a film"]


def written(corpus: TokenCorpus) -> list[list[str]]:
    return [[corpus.vocabulary[i] for i in corpus.table.words[rows]] for rows in corpus.sequences]


def test_words_are_by_descending_count(build: Build) -> None:
    corpus = build(TEXTS)
    assert corpus.vocabulary == ["<pad>", "<unk>", "film", "the", ",", "a", "end"]
    assert corpus.counts.tolist() == [0, 0, 3, 3, 1, 1, 1]
    assert written(corpus) == [["the", "film", ",", "the", "film"], ["the", "end"], ["a", "film"]]
    assert corpus.sequences.values.dtype == np.int32
    assert isinstance(corpus.sequences.values, np.memmap)


def test_casing_is_kept_for_each_distinct_token(build: Build) -> None:
    corpus = build(TEXTS)
    found = corpus.table.casing[corpus.sequences[0]].tolist()
    assert found == [Casing.CAPITALISED, Casing.LOWER, Casing.OTHER, Casing.LOWER, Casing.UPPER]


def test_a_limited_corpus_has_fewer_words(build: Build) -> None:
    corpus = build(TEXTS)
    frequent = corpus.limited(min_count=2)
    assert frequent.vocabulary == ["<pad>", "<unk>", "film", "the"]
    assert frequent.counts.tolist() == [0, 3, 3, 3]
    assert written(frequent)[1:] == [["the", "<unk>"], ["<unk>", "film"]]
    assert corpus.limited(max_words=1).vocabulary == ["<pad>", "<unk>", "film"]
    assert corpus.limited(max_words=99).vocabulary == corpus.vocabulary


def test_held_out_documents_are_drawn_by_the_seed(build: Build) -> None:
    texts = [f"text number {'x' * i}" for i in range(1, 21)]
    corpus = build(texts, held_out=0.2, seed=1)
    assert (len(corpus.sequences), len(corpus.held_out)) == (16, 4)
    assert all("text" in corpus.vocabulary[corpus.table.words[rows[0]]] for rows in corpus.held_out)
    # The words of held-out documents alone are unknown.
    assert sum(int((corpus.table.words[rows] == UNKNOWN).sum()) for rows in corpus.held_out) == 4
    again, other = build(texts, held_out=0.2, seed=1), build(texts, held_out=0.2, seed=2)
    assert again.checksum == corpus.checksum != other.checksum


def test_what_is_no_corpus_or_damaged_is_refused(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"contains no corpus; run first: python pipelines/pretrain\.py corpus="):
        TokenCorpus.load(tmp_path)
    build(TEXTS)
    file = tmp_path / "corpora/mine/sequences/tokens.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"sequences/tokens\.npy changed after it was written; recreate it"):
        TokenCorpus.load(tmp_path / "corpora/mine")
