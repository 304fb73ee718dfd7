import numpy as np
import pytest

from unroll.baselines.word_features import WordFeatures, shape
from unroll.data.encoding import DistinctTokens, TokenEncoder
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.tokens import SPECIAL_WORDS

VOCABULARY = [*SPECIAL_WORDS, "in", "u.n.", "ada"]
ALPHABET = [*SPECIAL_WORDS, *"AUNdain."]


def features(*sentences: list[str]) -> list[list[list[str]]]:
    """The features of each token of each sentence."""
    distinct = DistinctTokens()
    rows = [row for sentence in sentences for row in distinct.ids(sentence).tolist()]
    table = TokenEncoder(VOCABULARY, ALPHABET).encode(distinct)
    sequences = Ragged.from_lengths(np.array(rows), [len(sentence) for sentence in sentences])
    split = EncodedSplit("labeling", table, sequences, np.array(rows), np.arange(len(sentences)))
    return list(WordFeatures(VOCABULARY, ALPHABET).extract(split))


def test_a_token_has_features_of_its_own_and_of_two_neighbours_on_either_side() -> None:
    ((_, found, _, _),) = features(["in", "Ada", "U.N.", "in"])
    assert found == [
        "constant",
        "written=Ada",
        "suffix=a",
        "suffix=da",
        "word=ada",
        "casing=CAPITALISED",
        "shape=Xx",
        "-2:nothing",
        "-1:word=in",
        "-1:casing=LOWER",
        "-1:shape=x",
        "+1:word=u.n.",
        "+1:casing=UPPER",
        "+1:shape=X.X.",
        "+2:word=in",
        "+2:casing=LOWER",
        "+2:shape=x",
    ]


def test_a_sentence_does_not_see_the_next_one() -> None:
    assert features(["in"], ["Ada"]) == [*features(["in"]), *features(["Ada"])]


def test_words_and_characters_missing_from_the_vocabularies_are_unknown() -> None:
    ((found,),) = features(["Adx"])
    assert {"word=<unk>", "written=Ad\N{REPLACEMENT CHARACTER}"} <= set(found)


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [("Ada", "Xx"), ("NATO", "X"), ("U.N.", "X.X."), ("1-0", "d-d"), ("McX2024", "XxXd"), ("...", "."), ("été", "x")],
)
def test_a_shape_is_runs_of_kinds_of_letters(spelling: str, expected: str) -> None:
    assert shape(spelling) == expected
