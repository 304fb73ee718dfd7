"""The prepare stage draws missing splits from train, and reports texts in two splits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.raw import (
    ENTITIES,
    LENIENT,
    NAMES,
    OPTIONS,
    REVIEWS,
    TAGS,
    raw_reviews,
    raw_train_and_test,
    texts,
    words_of,
    write_raw,
)
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData


def test_rows_quarantined_before_a_carving_are_counted_once(tmp_path: Path) -> None:
    raw = write_raw(
        tmp_path / "raw", {"train": texts("", *"abcdefgh", labels=[0, 0, 1] * 3), "test": texts("a", "b")}, NAMES
    )
    description = prepare(REVIEWS, raw, tmp_path / "out", replace(LENIENT, validation_fraction=0.5))
    assert description["quarantined"] == {"train": {"empty text": 1}, "validation": {}, "test": {}}
    sizes = [description["splits"][split]["rows"] for split in ("train", "validation")]
    assert sum(sizes) + 1 == 9


def test_words_of_rows_carved_into_validation_are_not_in_the_vocabulary(tmp_path: Path) -> None:
    train = texts(*(f"word{chr(97 + i)}" for i in range(20)))
    raw = write_raw(tmp_path / "raw", {"train": train, "test": texts("a", "b")}, NAMES)
    prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    assert words_of(data, "validation") == [["<unk>"]] * 2
    assert len(data.schema.vocabulary) == 2 + 18


def test_a_carved_validation_is_disjoint_and_has_train_s_label_shares(tmp_path: Path) -> None:
    prepare(REVIEWS, raw_train_and_test(tmp_path / "raw"), tmp_path / "out", PrepareOptions(validation_fraction=0.2))
    data = PreparedData(tmp_path / "out")
    train, validation = data.split("train"), data.split("validation")
    assert sorted([*train.rows, *validation.rows]) == list(range(40))
    assert np.bincount(validation.labels).tolist() == [6, 2]
    assert np.bincount(train.labels).tolist() == [24, 8]
    assert all(label == (row % 4 == 0) for row, label in zip(validation.rows, validation.labels, strict=True))


def test_the_seed_decides_what_is_carved(tmp_path: Path) -> None:
    raw = raw_train_and_test(tmp_path / "raw")
    carved = []
    for seed in (1, 1, 2):
        prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(seed=seed))
        carved.append(PreparedData(tmp_path / "out").split("validation").rows.tolist())
    assert carved[0] == carved[1] != carved[2]


def test_sentences_are_carved_whole(tmp_path: Path) -> None:
    columns = {"tokens": [["in", f"w{i}"] for i in range(20)], "tags": [[0, 1]] * 20}
    raw = write_raw(tmp_path / "raw", {"train": columns, "test": columns}, TAGS)
    prepare(ENTITIES, raw, tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    assert words_of(data, "train") == [["in", f"w{row}"] for row in data.split("train").rows]
    assert data.split("validation").labels.tolist() == [0, 1] * 2


@pytest.mark.parametrize("size", [1])
def test_train_that_cannot_be_carved_is_an_error(tmp_path: Path, size: int) -> None:
    train = texts(*["x"] * size, labels=[0] * size)
    raw = write_raw(tmp_path / "raw", {"train": train, "test": texts("a", "b")}, NAMES)
    with pytest.raises(ValueError) as error:
        prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(validation_fraction=0.5))
    assert f"validation_fraction=0.5 cannot be drawn from the {size} training rows of acme/reviews" in str(error.value)


def carved(folder: Path, labels: list[str], fraction: float) -> tuple[list[str], list[str]]:
    """The labels of the rows of train and of the carved validation."""
    train = texts(*(f"x{i}" for i in range(len(labels))), labels=labels)
    raw = write_raw(folder / "raw", {"train": train, "test": texts("a", labels=labels[:1])}, None)
    prepare(REVIEWS, raw, folder / "out", PrepareOptions(validation_fraction=fraction))
    data = PreparedData(folder / "out")
    splits = [data.split(split) for split in ("train", "validation")]
    assert sorted([*splits[0].rows, *splits[1].rows]) == list(range(len(labels)))
    return tuple([data.label_names[i] for i in split.labels] for split in splits)  # type: ignore[return-value]


def test_the_row_of_a_label_with_a_single_row_stays_in_train(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train, validation = carved(tmp_path, ["a", "rare", *"ab" * 8, "odd"], 0.25)
    assert {"rare", "odd"} < set(train)
    assert sorted(validation) == ["a", "a", "a", "b", "b"]
    said = "of the 19 training rows of acme/reviews: the only rows with the labels odd, rare stay in train"
    assert [record.getMessage() for record in caplog.records] == [f"warning: validation_fraction=0.25 {said}"]


@pytest.mark.parametrize(
    ("labels", "fraction", "said"),
    [
        ([f"{i // 2}" for i in range(20)], 0.2, "4 rows cannot have all 10 labels; not stratified"),
        ([f"{i}" for i in range(20)], 0.2, "4 rows cannot have all 20 labels; not stratified"),
        ([f"{i // 2}" for i in range(20)], 0.9, "2 rows cannot have all 10 labels; not stratified"),
    ],
)
def test_more_labels_than_rows_to_draw_do_not_stop_the_split(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: list[str], fraction: float, said: str
) -> None:
    _, validation = carved(tmp_path, labels, fraction)
    assert len(validation) == fraction * 20
    assert said in caplog.text


def test_texts_in_two_splits_are_counted(tmp_path: Path) -> None:
    raw = raw_reviews(
        tmp_path / "raw",
        train=texts("one two", "three", "four"),
        validation=texts("one  two", "THREE", "five"),
        test=texts("three", "five", "three", "six"),
    )
    description = prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    found = {"train": 0, "validation": 0, "test": 1, "train, validation": 1, "train, test": 2, "validation, test": 1}
    assert description["duplicates"]["tokens"] == found
