import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.text import casing
from unroll.data.tokens import Casing


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("word", Casing.LOWER),
        ("isn't", Casing.LOWER),
        ("straße", Casing.LOWER),
        ("東京", Casing.LOWER),
        ("Word", Casing.CAPITALISED),
        ("I'll", Casing.CAPITALISED),
        ("Émile", Casing.CAPITALISED),
        ("A", Casing.CAPITALISED),
        ("UN", Casing.UPPER),
        ("DON'T", Casing.UPPER),
        ("McDonald", Casing.MIXED),
        ("iPhone", Casing.MIXED),
        ("2024", Casing.DIGITS),
        ("B52", Casing.DIGITS),
        ("1st", Casing.DIGITS),
        ("...", Casing.OTHER),
        ("€", Casing.OTHER),
        ("_", Casing.OTHER),
        ("", Casing.OTHER),
    ],
)
def test_casing_of_a_token(token: str, expected: Casing) -> None:
    assert casing(token) is expected


@given(st.text(min_size=1))
def test_no_token_is_written_like_padding(token: str) -> None:
    assert casing(token) is not Casing.PADDING


@given(st.text(alphabet="abcdefghij", min_size=2))
def test_casing_follows_python_s_own_case_changes(word: str) -> None:
    assert casing(word) is Casing.LOWER
    assert casing(word.capitalize()) is Casing.CAPITALISED
    assert casing(word.upper()) is Casing.UPPER
