import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.tokens import SPECIAL_WORDS
from unroll.data.vectors.files import VectorsFile
from unroll.data.vectors.read import PretrainedVectors, read_vectors, read_words

GLOVE = """the 0.5 -1 2e-1
cat 1 2 3
. 0 0 -4
"""
VOCABULARY = ["the", "dog", ".", "cat"]
EXPECTED = [[0.5, -1, 0.2], [0, 0, 0], [0, 0, -4], [1, 2, 3]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vectors.txt"


def read(file: Path, content: str | bytes, vocabulary: list[str]) -> PretrainedVectors:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_vectors(VectorsFile(file), vocabulary)


@pytest.mark.parametrize(
    "content",
    [
        GLOVE,
        f"3 3\n{GLOVE}",
        "3 3\n" + GLOVE.replace("\n", " \n"),
        GLOVE.replace("\n", "\r\n"),
        GLOVE.rstrip(),
        gzip.compress(GLOVE.encode()),
        f"\ufeff{GLOVE}",
        f"\ufeff3 3\n{GLOVE}",
    ],
    ids=[
        "GloVe",
        "word2vec text",
        "fastText, with its trailing spaces",
        "CRLF",
        "no last newline",
        "gzip",
        "byte order mark",
        "byte order mark before a header",
    ],
)
def test_every_form_gives_the_vocabularys_vectors_and_zeros_for_the_missing(file: Path, content: str | bytes) -> None:
    result = read(file, content, VOCABULARY)
    assert result.vectors.dtype == np.float32
    np.testing.assert_array_equal(result.vectors, np.array(EXPECTED, np.float32))
    assert result.found.tolist() == [True, False, True, True]


rows = st.dictionaries(
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=4).filter(lambda w: w == w.lower()),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=4, max_size=4),
    min_size=1,
)


@given(rows=rows, data=st.data())
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: dict, data: st.DataObject) -> None:
    file = tmp_path_factory.mktemp("written") / "vectors"
    header = data.draw(st.sampled_from(["", f"{len(rows)} 4\n"]))
    lines = "".join(f"{word} {' '.join(map(repr, numbers))}\n" for word, numbers in rows.items())
    vocabulary = data.draw(st.permutations([*rows, "two words"]))

    result = read(file, header + lines, vocabulary)

    assert result.found.tolist() == [word in rows for word in vocabulary]
    expected = [rows.get(word, [0] * 4) for word in vocabulary]
    np.testing.assert_array_equal(result.vectors, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["us 1", "US 2"], 1),
        (["US 2", "us 1"], 1),
        (["US 2", "Us 3"], 2),
        (["us 1", "us 4"], 1),
        (["US 2", "us 1", "us 4", "Us 3"], 1),
    ],
    ids=["the word as written", "although it comes later", "else the first in another case", "the first of two", "all"],
)
def test_which_line_a_word_takes(file: Path, lines: list[str], expected: int) -> None:
    assert read(file, "\n".join(lines), ["us"]).vectors.tolist() == [[expected]]


def test_lower_case_is_that_of_all_alphabets(file: Path) -> None:
    assert read(file, "Élan 1 2\nΣΑΣ 3 4\n", ["élan", "σας"]).found.all()


def test_special_words_have_no_vectors(file: Path) -> None:
    result = read(file, "<pad> 1 2\n<unk> 3 4\ncat 5 6\n", [*SPECIAL_WORDS, "cat"])
    assert result.vectors.tolist() == [[0, 0], [0, 0], [5, 6]]


def test_a_word_may_hold_spaces(file: Path) -> None:
    result = read(file, "cat 1 2\n. . . 3 4\nat me@there.net 5 6\n", ["cat", ". . .", "at me@there.net", ".", "at"])
    assert result.vectors.tolist() == [[1, 2], [3, 4], [5, 6], [0, 0], [0, 0]]


def test_bytes_that_are_no_utf8_do_not_stop_the_reading(file: Path) -> None:
    result = read(file, b"the 1 2\n\xff\xfe\x85 3 4\n\xc2\x85 5 6\n\xe2\x80\xa8 7 8\ncat 9 10\n", ["the", "cat"])
    assert result.vectors.tolist() == [[1, 2], [9, 10]]


def test_numbers_of_words_outside_the_vocabulary_are_not_read(file: Path) -> None:
    assert read(file, "the 1 2\nowl x y\ncat 3 4\n", ["cat"]).vectors.tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: no word vectors"),
        ("3 5\n", "line 2: no word vectors"),
        ("the 1 2 3\ncat 1 2\n", "line 2: 2 values; accepted: a word and 3 finite numbers"),
        ("the 1 2 3\nowl 1 2 3 4\n", "line 2: 4 values; accepted: a word and 3 finite numbers"),
        ("the 1 2 3\n\ncat 1 2 3\n", "line 2: 0 values"),
        ("2 50\nthe 1 2 3\ncat 1 2 3\n", "line 2: 3 values; accepted: a word and 50 finite numbers"),
        ("2 2\nthe 1 2 3\ncat 1 2 3\n", "line 2: 3 values; accepted: a word and 2 finite numbers"),
        ("the 1 2\ncat 1 two\n", "line 2: could not convert string to float: b'two'"),
        ("A plain sentence.\ncat 1 2\n", "line 1: could not convert string to float: b'plain'"),
        ("the\t1\t2\n", "line 1: 0 values; accepted: a word and its finite numbers, between single spaces"),
        ("12\n", "line 1: 0 values"),
        ("the 1 2\ncat nan 2\n", "line 2: a value that is not finite"),
        ("the 1 2\ncat 1 -inf\n", "line 2: a value that is not finite"),
        ("the 1 2\ncat 1e39 1\n", "line 2: a value that is not finite"),
        ("owl 1 2\nthe 3 4\n", "contains none of the 1 words of the vocabulary"),
    ],
)
def test_what_is_no_word_vectors_is_refused_by_name_and_line(file: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(str(file)) + ".*" + re.escape(message)):
        read(file, content, ["cat"])


@pytest.mark.parametrize(
    "content",
    [
        b"2 2\nthe " + np.array([0.5, 1], "<f4").tobytes() + b"\ncat " + np.array([0.1, 0.2], "<f4").tobytes() + b"\n",
        b"BZh91AY&SY\x00\x00 a bzip2 file",
        "the 1 2\ncat 3 4\n".encode("utf-16"),
    ],
    ids=["binary word2vec", "bzip2", "UTF-16"],
)
def test_binary_files_are_refused_with_the_way_out(file: Path, content: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"line \d: .*binary vectors in a file NAME\.bin; archives other than ZIP must be unpacked"
    ):
        read(file, content, ["cat"])


def test_a_file_that_cannot_be_read_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{file} cannot be read: ") + ".*No such file"):
        read_vectors(VectorsFile(file), ["cat"])
    with pytest.raises(ValueError, match="cannot be read"):
        read_vectors(VectorsFile(tmp_path), ["cat"])


@pytest.mark.parametrize("damage", [lambda data: data[:-12], lambda data: data[:20] + bytes(9) + data[29:]])
def test_damaged_gzip_is_refused(file: Path, damage: Callable[[bytes], bytes]) -> None:
    data = gzip.compress("".join(f"word{i} {i} {i}\n" for i in range(1000)).encode())
    with pytest.raises(ValueError, match=re.escape(f"{file} cannot be read: ")):
        read(file, damage(data), ["word1"])


def test_vectors_of_glove_tell_related_words_from_unrelated_ones(project: Path) -> None:
    file = project.parent / "shared" / "vectors" / "glove.6B.50d.subset.txt.gz"
    if not file.exists():
        pytest.skip("no public word vectors in ../shared/vectors, beside the checkout")
    vocabulary = [*SPECIAL_WORDS, "france", "germany", "film", "movie", "notawordofanycorpus"]

    result = read_vectors(VectorsFile(file), vocabulary)

    assert result.vectors.shape == (7, 50)
    assert result.found.tolist() == [False, False, True, True, True, True, False]
    france, germany, film, movie = result.vectors[2:6] / np.linalg.norm(result.vectors[2:6], axis=1, keepdims=True)
    assert min(france @ germany, film @ movie) > max(france @ film, germany @ movie) + 0.3


def test_the_words_of_a_file_are_lower_cased_and_each_once(file: Path) -> None:
    file.write_text("3 2\nThe 1 2\nnew york 3 4\nthe 5 6\n")
    assert read_words(VectorsFile(file)) == ["the", "new york"]


def test_a_ragged_line_is_named_where_only_words_are_read(file: Path) -> None:
    file.write_text("the 1 2\ncat 3\n")
    with pytest.raises(ValueError, match=f"{re.escape(str(file))}, line 2: 1 values"):
        read_words(VectorsFile(file))
