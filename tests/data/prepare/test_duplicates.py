"""Duplicate texts, and training rows whose text is also in another split."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.raw import ENTITIES, REVIEWS, TAGS, raw_reviews, rows_of, texts, words_of, write_raw
from unroll.data.encoding import DistinctTokens
from unroll.data.prepare.duplicates import Sameness, TextKeys, count_duplicates, text_keys
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData


def keys_of(*sentences: Sequence[str]) -> dict[Sameness, np.ndarray]:
    distinct = DistinctTokens()
    rows = rows_of([distinct.ids(sentence).tolist() for sentence in sentences])
    rows.corpus.distinct = distinct
    return {kind: keys["train"] for kind, keys in text_keys({"train": rows}).items()}


def test_the_same_words_in_another_case_and_punctuation_are_the_same_words() -> None:
    keys = keys_of(["Good", "film", "!"], ["good", ",", "FILM"], ["film", "good"])
    assert keys["words"][0] == keys["words"][1] != keys["words"][2]
    assert len(set(keys["tokens"])) == 3


def test_texts_of_punctuation_alone_are_the_same_only_as_they_are_written() -> None:
    keys = keys_of(["!"], ["..."], ["!"], ["a"])
    assert keys["words"][0] == keys["words"][2]
    assert len(set(keys["words"])) == 3


sentences = st.lists(
    st.lists(st.sampled_from(["No", "no", "film", "!", "?", "3"]), min_size=1, max_size=4), min_size=1, max_size=8
)


@given(sentences)
def test_keys_agree_with_a_comparison_of_the_strings(found: list[list[str]]) -> None:
    keys = keys_of(*found)
    words = [[token.lower() for token in sentence if token.isalnum()] or ["", *sentence] for sentence in found]
    for a in range(len(found)):
        for b in range(len(found)):
            assert (keys["tokens"][a] == keys["tokens"][b]) == (found[a] == found[b])
            assert (keys["words"][a] == keys["words"][b]) == (words[a] == words[b])


@given(st.randoms(use_true_random=False), st.integers(1, 60), st.integers(1, 12))
def test_texts_with_the_same_words_are_near_duplicates(random: Random, distinct: int, repetitions: int) -> None:
    found = [random.choices(["No", "no", "film", "bad", "!", "?"], k=random.randint(1, 12)) for _ in range(distinct)]
    found *= repetitions
    random.shuffle(found)
    keys = keys_of(*found)
    _, firsts, same = np.unique(keys["words"], return_index=True, return_inverse=True)
    assert (keys["near"] == keys["near"][firsts[same]]).all()


def test_rows_that_repeat_one_of_their_split_or_of_another_are_counted() -> None:
    every = keys_of(["a"], ["A"], ["a"], ["b"], ["a"], ["c", "!"], ["c"])

    def part(keys: np.ndarray) -> TextKeys:
        return {"train": keys[:4], "validation": keys[4:6], "test": keys[6:]}

    counts = count_duplicates({kind: part(keys) for kind, keys in every.items()})
    assert counts == {
        "tokens": {
            "train": 1, "validation": 0, "test": 0, "train, validation": 1, "train, test": 0, "validation, test": 0
        },
        "words": {
            "train": 2, "validation": 0, "test": 0, "train, validation": 1, "train, test": 0, "validation, test": 1
        },
        "near": {
            "train": 2, "validation": 0, "test": 0, "train, validation": 1, "train, test": 0, "validation, test": 1
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sameness", "kept", "reasons"),
    [
        (None, ["one", "ONE !", "two", "three"], {}),
        ("tokens", ["ONE !", "three"], {"the text is in validation too": 1, "the text is in test too": 1}),
        ("words", ["three"], {"the text is in validation too": 2, "the text is in test too": 1}),
        ("near", ["three"], {"the text is in validation too": 2, "the text is in test too": 1}),
    ],
)
def test_training_rows_that_leak_are_dropped_by_option(
    tmp_path: Path, sameness: str | None, kept: list[str], reasons: dict[str, int]
) -> None:
    raw = raw_reviews(
        tmp_path / "raw",
        train=texts("one", "ONE !", "two", "three"),
        validation=texts("one", "other"),
        test=texts("two", "another"),
    )
    options = PrepareOptions(drop_leaks=sameness)  # type: ignore[arg-type]
    description = prepare(REVIEWS, raw, tmp_path / "out", options)
    data = PreparedData(tmp_path / "out")
    assert [" ".join(words) for words in words_of(data, "train")] == [text.lower() for text in kept]
    assert description["quarantined"]["train"] == reasons
    quarantined = pq.read_table(tmp_path / "out" / "quarantine.parquet")
    assert sorted(quarantined["row"].to_pylist()) == quarantined["row"].to_pylist()
    assert len(quarantined) == 4 - len(kept)


def test_sentences_with_tags_are_dropped_with_their_tags(tmp_path: Path) -> None:
    both = {"tokens": [["in", "Oslo"]], "tags": [[0, 1]]}
    train = {"tokens": [["in", "Oslo"], ["Rio"]], "tags": [[0, 1], [1]]}
    raw = write_raw(tmp_path / "raw", {"train": train, "validation": both, "test": both}, TAGS)
    prepare(ENTITIES, raw, tmp_path / "out", PrepareOptions(drop_leaks="tokens"))
    split = PreparedData(tmp_path / "out").split("train")
    assert (split.rows.tolist(), split.labels.tolist(), split.lengths.tolist()) == ([1], [1], [1])


def test_a_train_of_leaks_alone_is_an_error(tmp_path: Path) -> None:
    same = texts("one", "two")
    raw = raw_reviews(tmp_path / "raw", train=same, test=same)
    with pytest.raises(ValueError, match="drop_leaks=tokens: all training texts are also in validation or test"):
        prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(drop_leaks="tokens"))
