from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from tests.drift.files import NEWS, REVIEWS, SPANS, TOPICS, Columns, write
from unroll.data.source import Source
from unroll.data.tags import spans
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import Task
from unroll.drift import labels
from unroll.drift.labels import NONE, LabelCounts, count_labels, number_labels, read_new_labels
from unroll.drift.new_text import read_new_text

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SENTENCES = st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=8), min_size=1, max_size=8)


def counts_of(task: Task, names: list[str], values: list[Any]) -> LabelCounts:
    return count_labels(*number_labels(task, names, values))


def expected_shares(sentences: list[list[str]]) -> dict[str, float]:
    """Computed text by text with the function that is used for scores."""
    shares: dict[str, float] = {NONE: 0, "PER": 0, "LOC": 0}
    for tags in sentences:
        types = [span.type for span in spans(tags)] or [NONE]
        for kind in types:
            shares[kind] += 1 / len(types)
    return shares


@given(SENTENCES, st.sampled_from([1, 5, 1000]))
def test_entities_are_those_that_the_scores_count_whatever_the_blocks(sentences: list[list[str]], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "BLOCK", block)
        found = counts_of("labeling", TAGS, sentences)
        assert found.texts == pytest.approx(expected_shares(sentences))
        inside = [np.mean([tag != "O" for tag in tags]) for tags in sentences]
        assert found.amounts == pytest.approx(inside)


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("classification", ["a", "b", "b"]),
        ("multilabel", [["a", "b"], [], ["b"]]),
        ("labeling", [["B-PER", "I-PER", "B-LOC"], ["O"], ["B-LOC", "B-LOC"]]),
    ],
)
def test_every_text_counts_once(task: Any, values: list[Any]) -> None:
    names = TAGS if task == "labeling" else ["a", "b"]
    found = counts_of(task, names, values)
    assert len(found.amounts) == 3
    assert sum(found.texts.values()) == pytest.approx(3)


def test_labels_without_texts_have_a_count_of_zero() -> None:
    assert counts_of("classification", ["a", "b"], ["a"]).texts == {"a": 1, "b": 0}


def read(folder: Path, source: Source, columns: Columns, names: list[str], ending: str = ".jsonl") -> LabelCounts:
    path = write(folder / f"new{ending}", columns)
    found = read_new_labels(read_new_text(path, source, Tokenizer()), path, source, names)
    return counts_of(source.task, names, found)


def reviews(folder: Path, stars: list[Any], names: list[str], ending: str = ".jsonl") -> dict[str, float]:
    return read(folder, REVIEWS, {"body": ["a"] * len(stars), "stars": stars}, names, ending).texts


@pytest.mark.parametrize(
    ("ending", "stars"),
    [
        *((ending, stars) for ending in (".csv", ".jsonl", ".parquet") for stars in (["neg", "pos", "pos"], [0, 1, 1])),
        (".jsonl", ["0", "1", "1"]),
        (".parquet", [False, True, True]),
    ],
)
def test_labels_are_names_numbers_or_booleans(tmp_path: Path, ending: str, stars: list[Any]) -> None:
    assert reviews(tmp_path, stars, ["neg", "pos"], ending) == {"neg": 1, "pos": 2}


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_numbers_that_are_names_are_taken_as_names(tmp_path: Path, ending: str) -> None:
    assert reviews(tmp_path, [1, 3, 3], ["1", "2", "3"], ending) == {"1": 1, "2": 0, "3": 2}


def test_numbers_that_are_not_all_names_are_taken_as_numbers(tmp_path: Path) -> None:
    assert reviews(tmp_path, [0, 2, 2], ["1", "2", "3"]) == {"1": 1, "2": 0, "3": 2}


def test_numbers_that_are_not_all_configured_names_are_no_positions(tmp_path: Path) -> None:
    columns: Columns = {"body": ["a"] * 3, "stars": [0, 2, 2]}
    found = read(tmp_path, replace(REVIEWS, label_names=["1", "2", "3"]), columns, ["1", "2", "3"])
    assert found.texts == {"0": 1, "1": 0, "2": 2, "3": 0}


@pytest.mark.parametrize(("names", "shares"), [(["0", "1"], {"0": 1, "1": 2}), (["no", "yes"], {"no": 1, "yes": 2})])
def test_names_that_a_file_declares_may_be_renamed(tmp_path: Path, names: list[str], shares: dict[str, int]) -> None:
    features = Features({"body": Value("string"), "stars": ClassLabel(names=["low", "high"])})
    Dataset.from_dict({"body": ["a"] * 3, "stars": [0, 1, 1]}, features).to_parquet(str(tmp_path / "new.parquet"))
    source = replace(REVIEWS, label_names=names)
    new = read_new_text(tmp_path / "new.parquet", source, Tokenizer())
    assert counts_of("classification", names, read_new_labels(new, tmp_path, source, names)).texts == shares


def test_minus_one_is_a_label_where_it_is_a_name(tmp_path: Path) -> None:
    assert reviews(tmp_path, [-1, 1, 1], ["-1", "1"]) == {"-1": 1, "1": 2}


def test_booleans_that_are_names_are_taken_as_names(tmp_path: Path) -> None:
    for values, ending in (([True, True, False], ".jsonl"), (["True", "True", "False"], ".csv")):
        assert reviews(tmp_path, values, ["false", "true"], ending) == {"false": 1, "true": 2}


def test_missing_labels_are_left_out(tmp_path: Path) -> None:
    assert reviews(tmp_path, ["pos", None, ""], ["neg", "pos"]) == {"neg": 0, "pos": 1}
    assert reviews(tmp_path, [1, -1], ["neg", "pos"]) == {"neg": 0, "pos": 1}


def test_a_label_that_is_not_in_the_data_is_one_of_its_own(tmp_path: Path) -> None:
    assert reviews(tmp_path, ["pos", "mixed"], ["neg", "pos"]) == {"neg": 0, "pos": 1, "mixed": 1}


def test_labels_of_another_dataset_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"column 'stars' has the labels bad, good, none .*; accepted: neg, pos, their"
    ):
        reviews(tmp_path, ["good", "bad"], ["neg", "pos"])


@pytest.mark.parametrize("stars", [[0.5], [[0]], [{"a": 1}]])
def test_labels_of_another_type_are_an_error(tmp_path: Path, stars: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"column 'stars' contains .*; accepted: names, numbers or booleans"):
        reviews(tmp_path, stars, ["neg", "pos"])


def test_a_label_that_the_prepare_stage_would_reject_is_not_counted(tmp_path: Path) -> None:
    assert reviews(tmp_path, [0, 1, 0.5], ["neg", "pos"]) == {"neg": 1, "pos": 1}


def test_labels_that_count_from_one_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'stars' has the label 2, and none is 0; accepted: numbers from 0 to 1"):
        reviews(tmp_path, [1, 2, 1], ["neg", "pos"])


@pytest.mark.parametrize("columns", [{"body": ["a"]}, {"body": ["a"], "stars": [None]}])
def test_without_labels_there_is_nothing_to_compare(tmp_path: Path, columns: Columns) -> None:
    path = write(tmp_path / "new.parquet", columns)
    assert read_new_labels(read_new_text(path, REVIEWS, Tokenizer()), path, REVIEWS, ["neg", "pos"]) == []


def entities(folder: Path, tags: list[Any], source: Source = NEWS) -> dict[str, float]:
    words = [["w"] * len(sentence or [1]) for sentence in tags]
    return read(folder, source, {"words": words, "tags": tags}, TAGS).texts


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("iob2", [["B-PER", "I-PER", "O", "B-LOC"]]),
        ("iob2", [[1, 2, 0, 3]]),
        ("iob1", [["I-PER", "I-PER", "O", "I-LOC"]]),
        ("bioes", [["B-PER", "E-PER", "O", "S-LOC"]]),
        ("io", [["PER", "PER", "O", "LOC"]]),
    ],
)
def test_tags_are_read_in_the_dataset_s_scheme(tmp_path: Path, scheme: Any, tags: list[Any]) -> None:
    source = replace(NEWS, tag_scheme=scheme)
    assert entities(tmp_path, tags, source) == {NONE: 0, "PER": 0.5, "LOC": 0.5}


def test_sentences_whose_tags_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    assert entities(tmp_path, [["B-PER"], ["O", "I-LOC"], None]) == {NONE: 0, "PER": 1, "LOC": 0}


def test_tags_that_differ_from_the_tokens_in_number_are_left_out(tmp_path: Path) -> None:
    columns: Columns = {"words": [["a", "b"], ["a"]], "tags": [["B-PER"], ["B-LOC"]]}
    found = read(tmp_path, NEWS, columns, TAGS)
    assert len(found.amounts) == 1


def test_names_that_are_no_tags_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"column 'tags': 'PER' is not a tag of the scheme 'iob2'"):
        entities(tmp_path, [["PER", "O"]])


def test_numbers_of_tags_in_another_scheme_are_an_error_unless_the_dataset_names_them(tmp_path: Path) -> None:
    source = replace(NEWS, tag_scheme="io")
    with pytest.raises(ValueError, match=r"column 'tags' has the labels B-0, B-1"):
        entities(tmp_path, [[0, 1]], source)
    assert entities(tmp_path, [[0, 1]], replace(source, label_names=["O", "LOC", "PER"])) == {
        NONE: 0,
        "PER": 0,
        "LOC": 1,
    }


def test_a_tag_of_no_scheme_leaves_out_its_sentence_only(tmp_path: Path) -> None:
    assert entities(tmp_path, [["B-PER"], ["PERSON"], ["B-ORG"]]) == {NONE: 0, "PER": 1, "LOC": 0, "ORG": 1}


def test_spans_are_entities(tmp_path: Path) -> None:
    columns: Columns = {"text": ["in Ghent now"], "entities": [[{"start": 3, "end": 8, "label": "LOC"}]]}
    found = read(tmp_path, SPANS, columns, TAGS)
    assert found.texts == {NONE: 0, "PER": 0, "LOC": 1}


def test_a_text_with_a_missing_label_among_several_has_no_usable_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "new.parquet", {"body": ["one", "two"], "topics": [["a ", None], ["b"]]})
    assert read_new_labels(read_new_text(path, TOPICS, Tokenizer()), path, TOPICS, ["a", "b"]) == [["b"]]


@pytest.mark.parametrize("topics", [[["sport"], [], ["sport", "law"]], [[1], [], [1, 0]]])
def test_several_labels_a_text(tmp_path: Path, topics: list[Any]) -> None:
    found = read(tmp_path, TOPICS, {"body": ["a"] * 3, "topics": topics}, ["law", "sport"])
    assert found.texts == {NONE: 1, "law": 0.5, "sport": 1.5}
    assert found.amounts.tolist() == [1, 0, 2]
