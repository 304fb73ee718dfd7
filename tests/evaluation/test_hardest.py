from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.made_up import write_prepared
from unroll.data.prepared import PreparedData
from unroll.data.subwords import Subwords
from unroll.data.tokenizer import Tokenizer, TokenizerOptions
from unroll.evaluation.hardest import ENDS, SHOWN, HardExample, Mark, hardest_examples
from unroll.evaluation.runs import read_runs
from unroll.files import write_checksums

CLASSES = ["negative", "positive"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture
def hardest(classification_runs: Path, tmp_path: Path) -> Any:
    """A function of texts, their gold labels, and the predictions of each run with their probabilities."""

    def find(
        task: str,
        names: list[str],
        texts: Sequence[str],
        gold: list[Any],
        predictions: dict[tuple[str, int], tuple[list[Any], list[Any]]],
        raw: Path | None = None,
        text_columns: Sequence[str] = ("text",),
    ) -> list[HardExample]:
        template = read_runs(classification_runs)[0]
        runs = [
            replace(template, task=task, model=model, seed=seed, predictions=_table(gold, *given))
            for (model, seed), given in predictions.items()
        ]
        models, data = list(dict.fromkeys(run.model for run in runs)), _data(task, names, texts, gold)
        return hardest_examples(runs, models, data, raw, text_columns)

    def _data(task: str, names: list[str], texts: Sequence[str], gold: list[Any]) -> PreparedData:
        tokens = [text.split() for text in texts]
        return write_prepared(tmp_path, task, names, {"train": (tokens, gold), "test": (tokens, gold)})

    return find


def _table(gold: list[Any], predicted: list[Any], probabilities: list[Any]) -> pd.DataFrame:
    likely = [np.array(row) for row in probabilities]
    return pd.DataFrame({"row": range(len(gold)), "label": gold, "predicted": predicted, "probabilities": likely})


def test_the_text_that_most_runs_get_wrong_comes_first_and_a_right_one_not_at_all(hardest: Any) -> None:
    gold = ["positive"] * 3
    first, second = hardest(
        "classification",
        CLASSES,
        ["all right", "two wrong", "one wrong"],
        gold,
        {
            ("gru", 1): (["positive", "negative", "negative"], [[0.1, 0.9], [0.9, 0.1], [0.9, 0.1]]),
            ("gru", 2): (["positive", "negative", "positive"], [[0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]),
        },
    )
    assert [(one.row, one.wrong, one.text) for one in (first, second)] == [
        (1, 2, [Mark("two wrong")]),
        (2, 1, [Mark("one wrong")]),
    ]


def test_among_equals_the_one_whose_truth_is_least_probable_comes_first(hardest: Any) -> None:
    predictions = (["negative"] * 3, [[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]])
    found = hardest("classification", CLASSES, ["a", "b", "c"], ["positive"] * 3, {("gru", 1): predictions})
    assert [example.row for example in found] == [1, 2, 0]


def test_a_prediction_is_what_most_seeds_of_a_model_predict_and_counts_those_that_are_right(hardest: Any) -> None:
    wrong, right = (["negative"], [[0.9, 0.1]]), (["positive"], [[0.1, 0.9]])
    (example,) = hardest(
        "classification",
        CLASSES,
        ["a text"],
        ["positive"],
        {("gru", 1): wrong, ("gru", 2): right, ("gru", 3): wrong, ("lstm", 1): wrong, ("fcnn", 1): right},
    )
    assert example.truth == "positive"
    assert [(found.text, found.is_right, found.votes) for found in example.predictions] == [
        ("negative", False, ["gru 1/3", "lstm 0/1"]),
        ("positive", True, ["fcnn 1/1"]),
    ]


def test_entities_are_marked_and_predictions_tell_what_they_miss_and_add(hardest: Any) -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"]]
    (example,) = hardest(
        "labeling",
        TAGS,
        ["Ada Brown saw Lima"],
        gold,
        {
            ("gru", 1): ([["B-PER", "O", "O", "B-LOC"]], [[0.9] * 4]),
            ("lstm", 1): ([["B-PER", "I-PER", "O", "O"]], [[0.9] * 4]),
            ("bilstm", 1): (gold, [[0.9] * 4]),
        },
    )
    assert example.text == [Mark("Ada Brown", "PER"), Mark(" saw "), Mark("Lima", "LOC")]
    assert example.truth is None
    assert [found.text for found in example.predictions] == [
        "misses Ada Brown (PER); adds Ada (PER)",
        "misses Lima (LOC)",
        "all entities right",
    ]


def test_a_long_sentence_is_cut_around_the_entities_in_question(hardest: Any) -> None:
    words = [f"w{i}" for i in range(200)]
    gold = ["O"] * 200
    gold[2], gold[100] = "B-LOC", "B-PER"
    missed = ["O"] * 100 + ["B-LOC"] + ["O"] * 99
    missed[2] = "B-LOC"
    (example,) = hardest("labeling", TAGS, [" ".join(words)], [gold], {("gru", 1): ([missed], [[0.9] * 200])})
    text = "".join(mark.text for mark in example.text)
    assert text.split() == ["…", *words[88:113], "…"]
    assert Mark("w100", "PER") in example.text
    assert example.predictions[0].text == "misses w100 (PER); adds w100 (LOC)"


def test_of_a_long_text_both_ends_are_shown(hardest: Any) -> None:
    words = [f"w{i}" for i in range(3 * ENDS)]
    predictions = (["negative"], [[0.9, 0.1]])
    (example,) = hardest("classification", CLASSES, [" ".join(words)], ["positive"], {("gru", 1): predictions})
    assert "".join(mark.text for mark in example.text).split() == [*words[:ENDS], "…", *words[-ENDS:]]


def test_labels_that_a_text_has_several_of_are_listed(hardest: Any) -> None:
    (example,) = hardest("multilabel", ["a", "b", "c"], ["text"], [["a", "c"]], {("gru", 1): ([[]], [[0.4, 0.1, 0.2]])})
    assert (example.truth, example.predictions[0].text) == ("a, c", "none")


def test_no_more_are_shown_than_a_person_reads(hardest: Any) -> None:
    size = SHOWN + 5
    predictions = (["negative"] * size, [[0.9, 0.1]] * size)
    texts = [f"text {i}" for i in range(size)]
    found = hardest("classification", CLASSES, texts, ["positive"] * size, {("gru", 1): predictions})
    assert len(found) == SHOWN


def test_a_text_that_occurs_twice_is_shown_once(hardest: Any) -> None:
    predictions = (["negative"] * 3, [[0.9, 0.1]] * 3)
    found = hardest("classification", CLASSES, ["same", "same", "other"], ["positive"] * 3, {("gru", 1): predictions})
    assert [example.row for example in found] == [0, 2]


def test_entities_next_to_each_other_are_all_marked(hardest: Any) -> None:
    gold, found = [["B-PER", "B-LOC"]], [["B-PER", "O"]]
    (example,) = hardest("labeling", TAGS, ["Ada Lima"], gold, {("gru", 1): (found, [[0.9, 0.9]])})
    assert [mark for mark in example.text if mark.entity] == [Mark("Ada", "PER"), Mark("Lima", "LOC")]


def test_pieces_of_a_word_are_put_together(hardest: Any, tmp_path: Path) -> None:
    predictions = (["negative"], [[0.9, 0.1]])
    Tokenizer(TokenizerOptions(subwords="bpe"), Subwords.train({"unseen": 1}, "bpe", 8)).save(tmp_path)
    (example,) = hardest("classification", CLASSES, ["an un ##seen word"], ["positive"], {("gru", 1): predictions})
    assert example.text == [Mark("an unseen word")]


WRONG = {("gru", 1): (["negative"], [[0.9, 0.1]])}


def shown(example: HardExample) -> str:
    return "".join(mark.text for mark in example.text)


def write_raw(folder: Path, split: str = "test", **columns: list[Any]) -> Path:
    pd.DataFrame(columns).to_parquet(folder / f"{split}.parquet")
    return folder


@pytest.mark.parametrize("split", ["test", "train"])
def test_a_text_is_shown_as_it_was_written(hardest: Any, tmp_path: Path, split: str) -> None:
    """From the training split where the test split was carved from it."""
    raw = write_raw(tmp_path, split, text=["  It's (really)\nBAD, no?"])
    (example,) = hardest("classification", CLASSES, ["It's ( really ) BAD , no ?"], ["positive"], WRONG, raw)
    assert shown(example) == "It's (really)\nBAD, no?"


def test_entities_are_marked_in_the_text_as_it_was_written(hardest: Any, tmp_path: Path) -> None:
    raw = write_raw(tmp_path, text=["Ada(Brown) of Lima."])
    gold = [["B-PER", "O", "B-PER", "O", "O", "B-LOC", "O"]]
    found = {("gru", 1): ([["O"] * 7], [[0.9] * 7])}
    (example,) = hardest("labeling", TAGS, ["Ada ( Brown ) of Lima ."], gold, found, raw)
    assert example.text == [
        Mark("Ada", "PER"),
        Mark("("),
        Mark("Brown", "PER"),
        Mark(") of "),
        Mark("Lima", "LOC"),
        Mark("."),
    ]
    assert example.predictions[0].text == "misses Ada (PER), Brown (PER), Lima (LOC)"


def test_tokens_are_shown_as_they_were_written(hardest: Any, tmp_path: Path) -> None:
    raw = write_raw(tmp_path, tokens=[["Ada", "☃"]])
    found = {("gru", 1): ([["O", "O"]], [[0.9, 0.9]])}
    (example,) = hardest("labeling", TAGS, ["Ada x"], [["B-PER", "O"]], found, raw, ["tokens"])
    assert shown(example) == "Ada ☃"


def test_both_texts_of_a_pair_are_shown(hardest: Any, tmp_path: Path) -> None:
    raw = write_raw(tmp_path, text=["Is it so?"], other=["It isn't!"])
    (example,) = hardest(
        "classification", CLASSES, ["Is it so ? <sep> It isn't !"], ["positive"], WRONG, raw, ["text", "other"]
    )
    assert shown(example) == "Is it so? ‖ It isn't!"


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_raw_split_that_was_there_is_missed(hardest: Any, tmp_path: Path, is_folder: bool) -> None:
    (raw := tmp_path / "raw").mkdir()
    for split in ("test", "train"):
        write_raw(raw, split, text=["a text"])
    write_checksums(raw)
    (raw / "test.parquet").unlink()
    if is_folder:
        (raw / "test.parquet").mkdir()
    with pytest.raises(ValueError, match=r"is damaged: test.parquet changed .*; recreate it with python"):
        hardest("classification", CLASSES, ["a text"], ["positive"], WRONG, raw)


@pytest.mark.parametrize("columns", [{}, {"other": ["a text"]}, {"text": ["short"]}, {"text": [None]}])
def test_without_its_raw_text_an_example_is_shown_by_its_tokens(
    hardest: Any, tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    raw = write_raw(tmp_path, **columns)
    (example,) = hardest("classification", CLASSES, ["a text"], ["positive"], WRONG, raw)
    assert shown(example) == "a text"
