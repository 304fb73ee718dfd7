import pytest

from unroll.data.source import COLUMNS, SPLITS, Source
from unroll.data.tokens import Task

TEXT = {"text": "sentence", "label": "label"}


def test_splits_have_the_same_names_unless_told_otherwise() -> None:
    source = Source("classification", "acme/reviews", TEXT)
    assert source.splits == {"train": "train", "validation": "validation", "test": "test"}
    assert (source.name, source.revision, source.label_names) == (None, "main", None)


@pytest.mark.parametrize(
    ("configured", "declared", "chosen"),
    [
        (None, None, None),
        (None, ["a", "b"], ["a", "b"]),
        (["a", "b"], None, ["a", "b"]),
        (["a", "b"], ["a", "b"], ["a", "b"]),
        (["x", "y"], ["a", "b"], ["x", "y"]),
        (["a", "y"], ["a", "b"], ["a", "y"]),
    ],
)
def test_configured_label_names_rename_declared_ones(
    configured: list[str] | None, declared: list[str] | None, chosen: list[str] | None
) -> None:
    assert Source("classification", "acme/x", TEXT, label_names=configured).choose_names(declared) == chosen


@pytest.mark.parametrize("configured", [["b", "a"], ["a"], ["a", "b", "c"], ["b", "x"]])
def test_configured_label_names_that_contradict_declared_ones_are_refused(configured: list[str]) -> None:
    source = Source("classification", "acme/x", TEXT, label_names=configured)
    with pytest.raises(ValueError) as error:
        source.choose_names(["a", "b"])
    assert f"dataset.label_names={configured}: acme/x declares the labels ['a', 'b']; accepted: " in str(error.value)


@pytest.mark.parametrize("name", ["", " ", " a", "a\n"])
def test_a_label_name_with_white_space_around_it_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="accepted: names without white space around them") as error:
        Source("classification", "acme/x", TEXT, label_names=["x", name])
    assert f"{name!r}; accepted" in str(error.value)


def test_a_label_name_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dataset\.label_names=\['a', 'b', 'a'\]: 'a' occurs twice; accepted"):
        Source("classification", "acme/x", TEXT, label_names=["a", "b", "a"])


def test_two_sources_share_no_default() -> None:
    first, second = (Source("classification", "acme/reviews", TEXT) for _ in range(2))
    first.splits["train"] = "other"
    assert second.splits["train"] == "train"


@pytest.mark.parametrize(("task", "columns"), [(task, names) for task in COLUMNS for names in COLUMNS[task]])
def test_a_source_with_the_task_s_columns_is_accepted(task: Task, columns: tuple[str, ...]) -> None:
    assert Source(task, "acme/x", {name: name for name in columns}).task == task


@pytest.mark.parametrize(
    ("task", "columns", "accepted"),
    [
        ("classification", {"text": "a"}, ["text", "label"]),
        ("classification", {"text": "a", "label": "b", "title": "c"}, ["text", "label"]),
        ("classification", {"tokens": "a", "labels": "b"}, ["text", "label"]),
        ("labeling", {"text": "a", "label": "b"}, "['tokens', 'labels'] or ['text', 'spans']"),
        ("labeling", {}, "['tokens', 'labels'] or ['text', 'spans']"),
    ],
)
def test_columns_of_another_task_are_named(task: str, columns: dict[str, str], accepted: list[str] | str) -> None:
    with pytest.raises(ValueError) as error:
        Source(task, "acme/x", columns)
    assert f"dataset.columns={sorted(columns)}" in str(error.value)
    assert f"dataset.task={task}; accepted: {accepted}" in str(error.value)


@pytest.mark.parametrize("splits", [{"train": "train"}, {split: split for split in (*SPLITS, "extra")}])
def test_a_missing_or_unknown_split_is_named(splits: dict[str, str]) -> None:
    with pytest.raises(ValueError) as error:
        Source("classification", "acme/x", TEXT, splits=splits)
    assert f"dataset.splits={sorted(splits)}" in str(error.value)
    assert str(list(SPLITS)) in str(error.value)


def test_a_null_train_is_refused() -> None:
    splits = {"train": None, "validation": "validation", "test": "test"}
    with pytest.raises(ValueError, match=r"dataset\.splits\.train=null; accepted: the name of a split"):
        Source("classification", "acme/x", TEXT, splits=splits)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_another_split_may_be_null(split: str) -> None:
    splits: dict[str, str | None] = {**{name: name for name in SPLITS}, split: None}
    assert Source("classification", "acme/x", TEXT, splits=splits).splits[split] is None
