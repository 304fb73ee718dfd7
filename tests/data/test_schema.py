"""When a model can read a dataset."""

from dataclasses import replace

import pytest

from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer, TokenizerOptions
from unroll.data.tokens import SPECIAL_WORDS

DATA = DataSchema(
    "classification", ["no", "yes"], [*SPECIAL_WORDS, "good", "bad"], [*SPECIAL_WORDS], Tokenizer(), False
)


def test_a_model_whose_vocabulary_goes_on_after_that_of_the_data_reads_them() -> None:
    assert replace(DATA, vocabulary=[*DATA.vocabulary, "splendid"]).differences(DATA) == []
    assert DATA.differences(DATA) == []


@pytest.mark.parametrize(
    "words", [["bad", "good"], ["good"], ["splendid", "good", "bad"]], ids=["another order", "fewer", "more before"]
)
def test_a_model_of_other_words_differs_in_its_vocabulary(words: list[str]) -> None:
    assert replace(DATA, vocabulary=[*SPECIAL_WORDS, *words]).differences(DATA) == ["vocabulary"]


def test_every_other_field_counts_too() -> None:
    other = replace(
        DATA,
        task="multilabel",
        label_names=["yes", "no"],
        alphabet=[*SPECIAL_WORDS, "a"],
        tokenizer=Tokenizer(TokenizerOptions(lowercase=False)),
        is_pair=True,
    )
    assert other.differences(DATA) == ["task", "labels", "alphabet", "tokenizer", "pairs of texts"]
