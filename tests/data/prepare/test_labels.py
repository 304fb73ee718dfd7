"""Conversion of raw labels; for whole rows see test_rows.py."""

from pathlib import Path
from typing import Any

import pytest

from tests.data.prepare.test_rows import ENTITIES, REVIEWS, write
from tests.data.raw import read_rows
from unroll.data.prepare.labels import BadRow, Labels, first_names


def test_a_label_is_a_name_or_its_number() -> None:
    labels = Labels(["bad", "good"])
    assert [labels.id(value) for value in ("bad", "good", 0, 1)] == [0, 1, 0, 1]


@pytest.mark.parametrize("value", [None, -1, 3, "fair", "", True, 1.0, [1]])
def test_any_other_label_is_a_bad_row(value: Any) -> None:
    with pytest.raises(BadRow):
        Labels(["bad", "so so", "good"]).id(value)


@pytest.mark.parametrize(
    ("names", "values", "ids"),
    [
        (["1", "0"], [1, 0, "1", "0"], [0, 1, 0, 1]),
        (["1", "2", "3"], [1, 3, 0, 4], [0, 2, None, None]),
        (["01", "02"], ["01", "02", 0, 1, "1"], [0, 1, None, None, None]),
        (["no", "1"], [1, 0], [1, None]),
        (["1", "0"], [1.0, 0.0, 0.5, float("nan")], [0, 1, None, None]),
        (["0.5", "1.5"], [0.5, 1.5, "0.5", 1], [0, 1, 0, None]),
        (["true", "false"], [True, False, "True", "FALSE", "true"], [0, 1, 0, 1, 0]),
        (["True", "False"], [True, False, 1], [0, 1, 1]),
        (["1", "0"], [True, False], [0, 1]),
        (["1", "2"], [True, False], [0, None]),
        (["pos", " neg"], ["pos ", " neg", "\tpos\n", "neg"], [0, 1, 0, None]),
        (["half-true", "true", "false"], ["TRUE", True, "half-true"], [1, 1, 0]),
    ],
)
def test_a_value_that_equals_a_name_means_that_name(names: list[str], values: list[Any], ids: list[int | None]) -> None:
    labels = Labels(names)
    assert [labels.find(value) for value in values] == ids


def test_integers_are_the_numbers_of_names_that_the_data_declare() -> None:
    labels = Labels(["1", "0"], is_numbered=True)
    assert [labels.find(value) for value in (0, 1, 2, -1, "1", "0")] == [0, 1, None, None, 0, 1]


def test_numbers_and_booleans_may_be_text_in_a_text_file() -> None:
    assert [Labels(["no", "yes"], is_text=True).find(value) for value in ("0", "1", "True", "2")] == [0, 1, 1, None]
    assert [Labels(["no", "yes"]).find(value) for value in ("0", "1", "True")] == [None] * 3


@pytest.mark.parametrize("value", [None, "", "  ", float("nan")])
def test_a_missing_label_is_a_bad_row(value: Any) -> None:
    with pytest.raises(BadRow, match=r"^missing label$"):
        Labels(["0", "1"]).id(value)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["good", " good", "bad ", ""], ["bad", "good"]),
        (["10", "9", "a"], ["10", "9", "a"]),
        (["10", "9", "1.5"], ["1.5", "10", "9"]),
        (["True", "false"], ["True", "false"]),
    ],
)
def test_strings_of_other_files_are_names(tmp_path: Path, values: list[str], names: list[str]) -> None:
    assert Labels.of(REVIEWS, None, write(tmp_path / "x.parquet", body=values, stars=values)).names == names


@pytest.mark.parametrize("name", ["a\tb", "B-LOC\r", "a\0"])
def test_a_name_with_a_control_character_is_an_error(tmp_path: Path, name: str) -> None:
    for declared in (None, ["ok", name]):
        path = write(tmp_path / "x.parquet", body=["a"], stars=[f"x{name}x"])
        with pytest.raises(
            ValueError, match=r"label 'x?.*of acme/reviews; accepted: a name without control characters"
        ):
            Labels.of(REVIEWS, declared, path)


def test_many_labels_are_described_by_the_first() -> None:
    assert first_names(["bad", "good"]) == "bad, good"
    described = first_names([f"l{i}" for i in range(25)])
    assert described.startswith("l0, l1, ") and described.endswith("l19, and 5 more")


def test_declared_names_are_kept_in_order(tmp_path: Path) -> None:
    assert Labels.of(REVIEWS, ["pos", "neg"], tmp_path / "not read").names == ["pos", "neg"]


def test_string_labels_without_names_are_collected_from_train(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", body=["a"] * 4, stars=["good", None, "bad", "good"])
    assert Labels.of(REVIEWS, None, path).names == ["bad", "good"]


def test_string_tags_without_names_are_collected_from_train(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", words=[["a"]] * 3, tags=[["O", "I-LOC"], None, ["B-LOC", None]])
    assert Labels.of(ENTITIES, None, path).names == ["B-LOC", "I-LOC", "O"]


@pytest.mark.parametrize(
    ("values", "names", "ids"),
    [
        ([5, 1, 5, 3], ["1", "3", "5"], [2, 0, 2, 1]),
        ([-1, 1, 0, 1], ["-1", "0", "1"], [0, 2, 1, 2]),
        ([True, False, True, True], ["false", "true"], [1, 0, 1, 1]),
    ],
)
def test_integers_and_booleans_without_names_are_named_by_their_values(
    tmp_path: Path, values: list[Any], names: list[str], ids: list[int]
) -> None:
    path = write(tmp_path / "x.parquet", body=["a"] * 4, stars=values)
    labels = Labels.of(REVIEWS, None, path)
    assert labels.names == names
    assert read_rows(path, REVIEWS, labels).labels.tolist() == ids


def test_booleans_are_the_two_names_that_are_declared() -> None:
    assert [Labels(["ham", "spam"]).id(value) for value in (False, True)] == [0, 1]


def test_labels_without_names_of_other_types_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", body=["a", "b"], stars=[0.5, None])
    with pytest.raises(ValueError) as error:
        Labels.of(REVIEWS, None, path)
    for part in ("'stars'", "acme/reviews", "float labels without names", "dataset.label_names"):
        assert part in str(error.value)


@pytest.mark.parametrize("names", [["O", "PER"], ["O", "I-PER"], ["O", "B-"]])
def test_tag_names_must_be_iob2(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ValueError, match=f"'{names[1]}'"):
        Labels.of(ENTITIES, names, tmp_path / "not read")
