"""Conversion of raw labels; for whole rows see test_rows.py."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.data.prepare.test_rows import ENTITIES, REVIEWS, write
from tests.data.raw import read_rows
from unroll.checks import first_names
from unroll.data.prepare.labels import BadRow, Labels, PlainTags
from unroll.data.tags import TagScheme


def test_a_label_is_a_name_or_its_number() -> None:
    labels = Labels(["bad", "good"])
    assert [labels.id(value) for value in ("bad", "good", 0, 1)] == [0, 1, 0, 1]


@pytest.mark.parametrize("value", [None, -1, 3, "fair", "", True, 0.5, 3.0, [1]])
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
        (["-1", "+1"], [-1, 1, 1.0, "+1", "1"], [0, 1, 1, 1, None]),
        (["1.0", "2.0"], [1, 2.0, "2.0", 0], [0, 1, 1, None]),
        (["1", "1.0", "01"], [1, 1.0, "1.0", "01"], [0, 1, 1, 2]),
        (["+1", "1.0"], [1], [None]),
        (["no", "yes"], [0.0, 1.0, 2.0, float("inf")], [0, 1, None, None]),
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
    assert [Labels(["no", "yes"], is_text=True).find(value) for value in ("0.0", "1.0", "01")] == [0, 1, None]
    assert [Labels(["-1", "1"], is_text=True).find(value) for value in ("+1", "-1.0", "01")] == [1, 0, None]
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


@pytest.mark.parametrize(
    ("names", "shown"), [(["caf\xe9", "cafe\u0301"], r"'caf\xe9' and 'cafe\u0301'"), (["B-LOC", "B-LOC "], "'B-LOC '")]
)
def test_names_that_look_alike_are_an_error(names: list[str], shown: str) -> None:
    with pytest.raises(ValueError, match="accepted: names that look different") as error:
        Labels.of(REVIEWS, names, Path("not read"))
    assert shown in str(error.value)


def test_a_family_emoji_is_a_name() -> None:
    assert Labels.of(REVIEWS, ["👨\u200d👩\u200d👧", "x"], Path("not read")).names[1] == "x"


@pytest.mark.parametrize("name", ["a\tb", "B-LOC\r", "a\0", "a\u200bb", "\ufeffa"])
def test_a_name_with_a_character_that_is_not_seen_is_an_error(tmp_path: Path, name: str) -> None:
    for declared in (None, ["ok", name]):
        path = write(tmp_path / "x.parquet", body=["a"], stars=[f"x{name}x"])
        with pytest.raises(
            ValueError, match=r"label 'x?.*of acme/reviews; accepted: a name without control or invisible"
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
        ([2.0, 1.0, 2.0, 10.0], ["1", "2", "10"], [1, 0, 1, 2]),
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


@pytest.mark.parametrize(
    ("names", "wrong"),
    [(["O", "PER"], "PER"), (["O", "B-"], "B-"), (["O", "B-PER", "L-PER", "S-PER"], "L-PER"), (["O", "N", "_"], "N")],
)
def test_tags_whose_scheme_is_not_certain_are_an_error_with_the_tag_and_its_row(
    tmp_path: Path, names: list[str], wrong: str
) -> None:
    path = write(tmp_path / "x.parquet", words=[["a"]] * 2, tags=[["O"], names])
    accepted = r"'O', 'B-TYPE', 'I-TYPE', or .*tag_scheme=.*, io \(types alone\) or none \(.*parts of speech\)"
    for declared in (None, names):
        with pytest.raises(ValueError, match=rf"column 'tags' .*'{wrong}' is not .*{accepted}; first in row 1 of"):
            Labels.of(ENTITIES, declared, path)


@pytest.mark.parametrize(
    ("scheme", "tags", "wrong"),
    [
        ("iob2", ["O", "S-PER"], "S-PER"),
        ("iob2", ["O", "B-LOC", "I-PER"], "I-PER"),
        ("bioes", ["O", "B-PER", "L-PER"], "L-PER"),
        ("bilou", ["O", "B-PER", "E-PER"], "E-PER"),
        ("bmes", ["O", "B-PER", "I-PER"], "I-PER"),
        ("io", ["O", "B-PER", "I-PER"], "B-PER"),
        ("iob1", ["O", "PER"], "PER"),
    ],
)
def test_a_scheme_that_contradicts_the_tags_is_an_error_with_the_tag_and_its_row(
    tmp_path: Path, scheme: TagScheme, tags: list[str], wrong: str
) -> None:
    path = write(tmp_path / "x.parquet", words=[["a"]] * 3, tags=[["O"], None, tags])
    with pytest.raises(ValueError, match=rf"column 'tags' of acme/news: '{wrong}' .*; first in row 2 of train"):
        Labels.of(replace(ENTITIES, tag_scheme=scheme), None, path)


def read_tags(labels: Labels, *sentences: list[Any]) -> list[list[str]]:
    return [[labels.names[i] for i in labels.ids(tags)] for tags in sentences]


def test_a_tag_of_a_known_type_is_known_where_train_lacks_it(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", words=[["a"]], tags=[["O", "S-PER"]])
    labels = Labels.of(ENTITIES, None, path)
    assert read_tags(labels, ["B-PER", "I-PER", "E-PER"]) == [["B-PER", "I-PER", "I-PER"]]
    with pytest.raises(BadRow, match="unknown label 'S-LOC'"):
        labels.ids(["S-LOC"])


def test_white_space_around_a_tag_is_not_part_of_it_and_a_blank_tag_is_missing(tmp_path: Path) -> None:
    for scheme, expected in ((None, ["O", "B-PER"]), ("none", ["O", "B-PER"])):
        path = write(tmp_path / "x.parquet", words=[["a"]] * 2, tags=[["O ", " B-PER", ""], ["B-PER"]])
        labels = Labels.of(replace(ENTITIES, tag_scheme=scheme), None, path)
        assert read_tags(labels, ["O", "\tB-PER "]) == [expected]
        for missing in ("", " ", None):
            with pytest.raises(BadRow, match="missing label"):
                labels.ids(["O", missing])


def test_plain_tags_without_an_outside_tag_are_found_out(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", words=[["a"]] * 2, tags=[["DT", "NN"], ["NN", "-LRB-"]])
    labels = Labels.of(ENTITIES, None, path)
    assert labels.task == "tagging"
    assert labels.names == ["-LRB-", "DT", "NN"]
    assert read_tags(labels, ["NN", "DT"]) == [["NN", "DT"]]
    with pytest.raises(BadRow, match="unknown label 'VB'"):
        labels.ids(["VB"])


def test_declared_plain_tags_may_be_numbers() -> None:
    labels = PlainTags(["NOUN", "VERB", "O"])
    assert labels.ids([1, 0, 2, "O"]) == [1, 0, 2, 2]


def test_plain_tags_that_are_named_so_may_be_numbers_without_names(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", words=[["a"]], tags=[[3, 1, 3, None]])
    labels = Labels.of(replace(ENTITIES, tag_scheme="none"), None, path)
    assert labels.names == ["1", "3"]
    assert labels.ids([3, 1]) == [1, 0]
    with pytest.raises(BadRow, match="unknown label 2"):
        labels.ids([2])


def test_iob1_and_iob2_in_one_column_leave_out_the_rows_that_are_not_iob2(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", words=[["a"]] * 3, tags=[["I-PER"], ["B-PER"], ["O"]])
    rows = read_rows(path, ENTITIES, labels := Labels.of(ENTITIES, None, path))
    assert rows.quarantined == [(0, "invalid tag sequence: I-PER after the start")]
    assert labels.accepted == "B-PER, I-PER, O, read as iob2 (dataset.tag_scheme)"


def test_declared_tags_in_another_scheme_may_be_numbers(tmp_path: Path) -> None:
    names = ["O", "B-PER", "L-PER", "U-PER"]
    path = write(tmp_path / "x.parquet", words=[["a"]], tags=[[1, 2, 3]])
    labels = Labels.of(ENTITIES, names, path)
    assert read_tags(labels, [1, 2, 3, 0]) == [["B-PER", "I-PER", "B-PER", "O"]]
