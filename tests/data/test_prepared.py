import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unroll.data.encoding import TokenEncoder
from unroll.data.prepared import EncodedSplit, PreparedData, checksum_of
from unroll.data.ragged import Ragged
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import SPECIAL_WORDS, UNKNOWN
from unroll.files import read_json, write_checksums, write_json

VOCABULARY = [*SPECIAL_WORDS, "in", "oslo"]
ALPHABET = [*SPECIAL_WORDS, *"inslo"]
TABLE = TokenEncoder(VOCABULARY, ALPHABET).encode(["in", "Oslo"])
OTHERS = ["Lima", "<pad>", "Rome"]  # tokens outside the vocabulary


def save(split: EncodedSplit, folder: Path) -> None:
    """Write the arrays of a split."""
    folder.mkdir()
    for name in split.ARRAYS:
        np.save(folder / f"{name}.npy", getattr(split, name))


def two_sentences() -> EncodedSplit:
    return EncodedSplit(
        task="labeling",
        table=TABLE,
        sequences=Ragged(np.array([1, 2, 1], np.int32), np.array([0, 2, 3])),
        labels=np.array([0, 1, 0]),
        rows=np.array([0, 4]),
    )


def test_the_head_of_a_split_is_its_first_sequences() -> None:
    split = two_sentences()
    head = split.head(1)
    assert (len(head), head.lengths.tolist()) == (1, [2])
    assert (head.tokens.tolist(), head.labels.tolist(), head.rows.tolist()) == ([1, 2], [0, 1], [0])
    texts = replace(split, task="classification", labels=np.array([1, 0]))
    assert texts.head(1).labels.tolist() == [1]
    assert len(split.head(5)) == 2


def test_a_split_comes_back_as_it_was(tmp_path: Path) -> None:
    split = two_sentences()
    save(split, tmp_path / "train")
    loaded = EncodedSplit.load(tmp_path / "train", "labeling", TABLE)
    assert loaded.task == "labeling"
    for name in EncodedSplit.ARRAYS:
        before, after = getattr(split, name), getattr(loaded, name)
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_a_loaded_split_is_mapped_into_memory_and_read_only(tmp_path: Path) -> None:
    save(two_sentences(), tmp_path / "train")
    tokens = EncodedSplit.load(tmp_path / "train", "labeling", TABLE).tokens
    assert isinstance(tokens, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


def test_length_counts_sequences_and_lengths_their_tokens() -> None:
    assert len(two_sentences()) == 2
    assert two_sentences().lengths.tolist() == [2, 1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prepared data with one split."""
    folder = tmp_path / "reviews"
    folder.mkdir()
    write_json(folder / "vocabulary.json", VOCABULARY)
    write_json(folder / "alphabet.json", ALPHABET)
    Tokenizer().save(folder)
    TABLE.save(folder / "tokens")
    save(two_sentences(), folder / "test")
    facts = {"task": "labeling", "is_pair": False, "label_names": ["O", "B-X"]}
    write_json(folder / "dataset.json", facts | {"checksum": checksum_of(folder)})
    return folder


def test_prepared_data_are_described_by_their_files(folder: Path) -> None:
    data = PreparedData(folder)
    assert (data.task, data.label_names, data.checksum) == ("labeling", ["O", "B-X"], checksum_of(folder))
    assert (data.schema.vocabulary, data.schema.alphabet) == (VOCABULARY, ALPHABET)
    test = data.split("test")
    assert test.tokens.tolist() == [1, 2, 1]
    assert test.table.words.tolist() == [0, 2, 3]


@pytest.mark.parametrize("file", ["test/tokens.npy", "test/labels.npy", "test/offsets.npy", "test/rows.npy"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "deleted"])
def test_damaged_arrays_are_noticed_and_the_command_is_named(folder: Path, file: str, damage: str) -> None:
    content = (folder / file).read_bytes()
    if damage == "deleted":
        (folder / file).unlink()
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        (folder / file).write_bytes({"cut": content[:-4], "flipped": flipped, "emptied": b""}[damage])
    with pytest.raises(
        ValueError, match=r"reviews is damaged: .* python pipelines/prepare\.py dataset=NAME output=.*reviews$"
    ):
        PreparedData(folder).split("test")


@pytest.mark.parametrize(
    "file", ["dataset.json", "vocabulary.json", "tokenizer.json", "test/labels.npy", "sha256.json"]
)
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "a folder"])
def test_every_file_of_prepared_data_is_compared_with_its_checksum(folder: Path, file: str, damage: str) -> None:
    write_checksums(folder)
    content = (folder / file).read_bytes()
    if damage == "a folder":
        (folder / file).unlink()
        (folder / file).mkdir()
    else:
        flipped = content[:9] + bytes([content[9] ^ 1]) + content[10:]
        (folder / file).write_bytes({"cut": content[:-4], "flipped": flipped, "emptied": b""}[damage])
    with pytest.raises(
        ValueError, match=r"reviews is damaged: .* python pipelines/prepare\.py dataset=NAME output=.*reviews$"
    ):
        data = PreparedData(folder)
        assert data.schema
        data.split("test")


def test_an_empty_folder_is_an_error_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as error:
        PreparedData(tmp_path / "reviews")
    assert str(tmp_path / "reviews") in str(error.value)
    assert f"python pipelines/prepare.py dataset=NAME output={tmp_path / 'reviews'}" in str(error.value)


def test_the_command_for_data_in_their_usual_place_has_their_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"prepared data; run first: python pipelines/prepare\.py dataset=reviews$"):
        PreparedData("data/prepared/reviews")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("task", value) for value in (None, 1, "x", ["labeling"], float("nan"))],
        *[("label_names", value) for value in (None, "O", ["O", 1], {"O": 1}, [["O"]], 10**30)],
        *[("is_pair", value) for value in (0, None, "no")],
        *[("checksum", value) for value in (None, 1, [])],
        *[("source", value) for value in (None, [], {"path": 1}, "x")],
        *[("splits", value) for value in (None, {"train": 1}, {"train": {"too_long": "x"}}, [1])],
        ("inexact_spans", {"train": [1]}),
        ("given_tokens", "x"),
    ],
)
def test_a_fact_of_another_type_is_an_error_with_the_key_and_the_command(folder: Path, key: str, value: object) -> None:
    content = read_json(folder / "dataset.json")
    write_json(folder / "dataset.json", content | {key: value})
    with pytest.raises(ValueError, match=rf"dataset\.json is damaged \({key}.*python pipelines/prepare\.py dataset="):
        PreparedData(folder)


@pytest.mark.parametrize("key", ["task", "label_names", "is_pair", "checksum"])
def test_a_missing_fact_is_named(folder: Path, key: str) -> None:
    content = read_json(folder / "dataset.json")
    del content[key]
    write_json(folder / "dataset.json", content)
    with pytest.raises(ValueError, match=rf"dataset\.json is damaged \(missing {key}\)"):
        PreparedData(folder)


@pytest.fixture
def with_others(folder: Path) -> Path:
    """Prepared data with tokens outside the vocabulary, whose words they keep."""
    table = TokenEncoder(VOCABULARY, ALPHABET).encode(["in", "Oslo", *OTHERS])
    shutil.rmtree(folder / "tokens")
    table.save(folder / "tokens")
    write_json(folder / "tokens" / "other_words.json", [token.lower() for token in OTHERS])
    write_json(folder / "dataset.json", read_json(folder / "dataset.json") | {"checksum": checksum_of(folder)})
    write_checksums(folder)
    return folder


def test_joined_data_know_more_words_after_their_own_and_give_them_to_the_tokens(with_others: Path) -> None:
    data = PreparedData(with_others)
    joined = data.joined([*SPECIAL_WORDS, "rome", "oslo", "york"])
    assert joined.schema.vocabulary == [*VOCABULARY, "rome", "york"]
    assert joined.split("test").table.words.tolist() == [0, 2, 3, UNKNOWN, UNKNOWN, len(VOCABULARY)]
    assert data.schema.vocabulary == VOCABULARY
    assert data.table.words.tolist() == [0, 2, 3, UNKNOWN, UNKNOWN, UNKNOWN]


def test_joined_data_map_the_same_arrays_into_memory(with_others: Path) -> None:
    joined = PreparedData(with_others).joined(["rome"])
    assert isinstance(joined.split("test").tokens, np.memmap)
    np.testing.assert_array_equal(joined.table.spellings.values, PreparedData(with_others).table.spellings.values)


def test_data_that_have_all_words_are_joined_as_they_are(folder: Path) -> None:
    data = PreparedData(folder)
    assert data.joined(["oslo", *SPECIAL_WORDS]) is data


def test_data_of_an_earlier_version_are_not_joined_without_their_words(with_others: Path) -> None:
    (with_others / "tokens" / "other_words.json").unlink()
    write_checksums(with_others)
    with pytest.raises(
        ValueError, match=r"earlier version.*run again: python pipelines/prepare\.py dataset=NAME output=.*reviews$"
    ):
        PreparedData(with_others).joined(["rome"])


@pytest.mark.parametrize("content", [{}, ["lima"], "x"])
def test_words_that_do_not_belong_to_the_tokens_are_an_error(with_others: Path, content: object) -> None:
    write_json(with_others / "tokens" / "other_words.json", content)
    write_checksums(with_others)
    with pytest.raises(
        ValueError, match=r"other_words\.json is damaged .*python pipelines/prepare\.py dataset=NAME output=.*reviews$"
    ):
        PreparedData(with_others).joined(["rome"])
