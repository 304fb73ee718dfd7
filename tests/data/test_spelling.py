import numpy as np

from unroll.data.spelling import spelling


def test_a_character_that_is_missing_from_the_alphabet_is_taken_from_the_word() -> None:
    """A character of a single word is not in the alphabet; that word is in the vocabulary."""
    alphabet = ["<pad>", "<unk>", "a", "B"]
    assert spelling(np.array([3, 1, 2, 0]), "b.a", alphabet) == "B.a"
    assert spelling(np.array([3, 1, 2, 0]), "<unk>", alphabet) == "B\N{REPLACEMENT CHARACTER}a"
