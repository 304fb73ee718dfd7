import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from tests.data.vectors.binary import word2vec
from unroll.data.vectors.files import VectorsFile
from unroll.data.vectors.read import PretrainedVectors, read_vectors, read_words

WORDS = ["the", "New_York", "\ncafé"]
VECTORS = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)


def read(file: Path, content: bytes, vocabulary: list[str]) -> PretrainedVectors:
    file.write_bytes(content)
    return read_vectors(VectorsFile(file), vocabulary)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_the_vectors_are_those_written_with_or_without_line_ends(tmp_path: Path, end: bytes) -> None:
    result = read(tmp_path / "news.bin", word2vec(WORDS, VECTORS, end), ["café", "zebra", "new_york"])
    assert result.found.tolist() == [True, False, True]
    np.testing.assert_array_equal(result.vectors[[0, 2]], VECTORS[[2, 1]])


def test_gzip_is_decompressed(tmp_path: Path) -> None:
    result = read(tmp_path / "news.bin.gz", gzip.compress(word2vec(WORDS, VECTORS)), ["the"])
    np.testing.assert_array_equal(result.vectors, VECTORS[:1])


def test_the_words_are_those_written(tmp_path: Path) -> None:
    (tmp_path / "news.bin").write_bytes(word2vec(WORDS, VECTORS))
    assert read_words(VectorsFile(tmp_path / "news.bin"), str) == ["the", "New_York", "café"]


def test_a_file_that_ends_early_is_named_wherever_it_ends(tmp_path: Path) -> None:
    whole = word2vec(WORDS, VECTORS, b"")
    for size in range(len(b"3 5\n"), len(whole)):
        with pytest.raises(ValueError, match=r"news\.bin ends in word [123] of 3; accepted: the whole file"):
            read(tmp_path / "news.bin", whole[:size], ["the"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither fastText's nor word2vec's binary format; accepted: one of them, or text in a file with"),
        (b"the 1 2\n", "neither fastText's nor word2vec's binary format"),
        (b"1 2\n" + bytes(1 << 17), "ends in word 1 of 1"),
        (word2vec(["the"], np.float32([[np.inf, 1]])), "word 1: a value that is not finite"),
    ],
    ids=["empty", "text", "no words", "infinite"],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/news.bin") + ".*" + re.escape(message)):
        read(tmp_path / "news.bin", content, ["the"])
