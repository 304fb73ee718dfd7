import gzip
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.vectors.binary import fasttext
from unroll.data.vectors.fasttext import fasttext_hash
from unroll.data.vectors.files import VectorsFile
from unroll.data.vectors.read import PretrainedVectors, read_vectors, read_words

WORDS = ["</s>", "the", "Paris", "été"]
BUCKETS, NGRAMS = 11, (2, 3)
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS) + BUCKETS, 4)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cc.fr.4.bin"


def read(file: Path, content: bytes, vocabulary: list[str]) -> PretrainedVectors:
    file.write_bytes(content)
    return read_vectors(VectorsFile(file), vocabulary)


def signed_hash(text: str) -> int:
    """FNV-1a in C's arithmetic: a signed byte is converted to 32 bits without a sign."""
    value = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in np.frombuffer(text.encode(), np.int8):
            value = (value ^ byte.astype(np.uint32)) * np.uint32(16777619)
    return int(value)


def expected(word: str, written: str | None) -> np.ndarray:
    """The mean of the rows of a word and of its n-grams, from its characters rather than its bytes."""
    framed = f"<{written or word}>"
    pieces = [framed[i : i + n] for n in range(NGRAMS[0], NGRAMS[1] + 1) for i in range(len(framed) - n + 1)]
    rows = [len(WORDS) + signed_hash(piece) % BUCKETS for piece in pieces]
    return VECTORS[[*([WORDS.index(written)] if written else []), *rows]].mean(axis=0)


def test_the_hash_is_that_of_fasttext() -> None:
    assert fasttext_hash(b"Runs Vtach") == 2154071813
    for text in ("", "a", "<é", "日本>", "\u07ff"):
        assert fasttext_hash(text.encode()) == signed_hash(text)


def test_known_and_unknown_words_have_the_mean_of_their_ngrams(file: Path) -> None:
    vocabulary = ["<pad>", "<unk>", "the", "paris", "été", "étés", "x"]
    result = read(file, fasttext(WORDS, VECTORS, BUCKETS, NGRAMS), vocabulary)
    assert result.found.tolist() == [False, False, True, True, True, True, True]
    assert not result.vectors[:2].any()
    written = {"the": "the", "paris": "Paris", "été": "été"}
    for word, vector in zip(vocabulary[2:], result.vectors[2:], strict=True):
        np.testing.assert_allclose(vector, expected(word, written.get(word)), rtol=1e-6)


def test_the_end_of_a_sentence_has_no_ngrams(file: Path) -> None:
    result = read(file, fasttext(WORDS, VECTORS, BUCKETS, NGRAMS), ["</s>"])
    np.testing.assert_array_equal(result.vectors[0], VECTORS[0])


def test_single_characters_are_ngrams_unless_they_are_the_frame(file: Path) -> None:
    vectors = np.arange(BUCKETS, dtype=np.float32)[:, None]
    result = read(file, fasttext([], vectors, BUCKETS, (1, 1)), ["ab"])
    assert result.vectors.tolist() == [[np.mean([signed_hash("a") % BUCKETS, signed_hash("b") % BUCKETS])]]


def test_without_ngrams_only_known_words_have_vectors(file: Path) -> None:
    result = read(file, fasttext(WORDS, VECTORS[: len(WORDS)]), ["the", "paris", "zebra"])
    assert result.found.tolist() == [True, True, False]
    np.testing.assert_array_equal(result.vectors[:2], VECTORS[1:3])


def test_labels_of_a_classifier_are_no_words(file: Path) -> None:
    file.write_bytes(fasttext(WORDS, VECTORS, BUCKETS, NGRAMS, labels=["__label__good"]))
    assert read_words(VectorsFile(file)) == ["</s>", "the", "paris", "été"]
    assert read_vectors(VectorsFile(file), ["the"]).found.all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (fasttext(WORDS, VECTORS, BUCKETS, NGRAMS, version=11), "version 11 of fastText's format; accepted: 12"),
        (fasttext(WORDS, VECTORS, BUCKETS, NGRAMS, quantised=True), "a quantised model of fastText; accepted: one"),
        (fasttext(WORDS, VECTORS, BUCKETS + 1, NGRAMS), "is damaged, or not complete; accepted: a .bin file"),
        (fasttext(WORDS, VECTORS * np.float32("nan"), BUCKETS, NGRAMS), "a value that is not finite"),
    ],
    ids=["version", "quantised", "sizes", "NaN"],
)
def test_what_cannot_be_used_is_named(file: Path, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(str(file)) + ".*" + re.escape(message)):
        read(file, content, ["the"])


def test_a_file_that_ends_early_is_named_wherever_it_ends(file: Path) -> None:
    whole = fasttext(WORDS, VECTORS, BUCKETS, NGRAMS)
    needed = len(whole) - (1 + 16 + 4 * 4)  # without the output matrix
    read(file, whole[:needed], ["the"])
    for size in range(4, needed):
        with pytest.raises(ValueError, match="is damaged, or not complete"):
            read(file, whole[:size], ["the"])


@pytest.mark.parametrize("is_zip", [False, True])
def test_in_an_archive_it_must_be_unpacked(tmp_path: Path, is_zip: bool) -> None:
    content = fasttext(WORDS, VECTORS, BUCKETS, NGRAMS)
    if is_zip:
        file = VectorsFile(tmp_path / "wiki.zip", "wiki.bin")
        with zipfile.ZipFile(file.path, "w") as archive:
            archive.writestr("wiki.bin", content)
    else:
        file = VectorsFile(tmp_path / "cc.fr.4.bin.gz")
        file.path.write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=r"\.bin.*is not read from archives; accepted: the unpacked file"):
        read_vectors(file, ["the"])
