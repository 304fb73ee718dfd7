from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from unroll.statistics.comparison import compact_letters

MODELS = ["lstm", "gru", "bilstm", "elman", "fcnn", "lru", "sru"]
PAIRS = list(combinations(MODELS, 2))


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_models_share_a_letter_if_and_only_if_they_do_not_differ(significant: set[tuple[str, str]]) -> None:
    letters = compact_letters(MODELS, significant)
    for first, second in PAIRS:
        assert bool(set(letters[first]) & set(letters[second])) == ((first, second) not in significant)


@given(st.sets(st.sampled_from(PAIRS)))
def test_no_letter_is_redundant(significant: set[tuple[str, str]]) -> None:
    letters = compact_letters(MODELS, significant)
    groups = [{model for model in MODELS if letter in letters[model]} for letter in set("".join(letters.values()))]
    assert not any(one <= other for one in groups for other in groups if one is not other)


def test_letters_follow_the_order_of_the_models() -> None:
    assert compact_letters(["T1", "T2", "T3", "T4"], [("T1", "T4"), ("T3", "T1")]) == {
        "T1": "a",
        "T2": "ab",
        "T3": "b",
        "T4": "b",
    }
    assert compact_letters(["gru", "lstm"], []) == {"gru": "a", "lstm": "a"}
    assert compact_letters(["gru"], []) == {"gru": "a"}


def test_letters_never_run_out() -> None:
    models = [f"model{index}" for index in range(40)]
    letters = compact_letters(models, combinations(models, 2))
    assert len(set(letters.values())) == 40 and all(len(letter) == 1 for letter in letters.values())
