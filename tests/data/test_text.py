import re
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.text import Casing, casing, token_places, tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It isn't Tom's.", ["It", "isn't", "Tom's", "."]),
        ("They’ll come", ["They’ll", "come"]),
        ("rock 'n' roll", ["rock", "'", "n", "'", "roll"]),
        ("Well...why?!", ["Well", "...", "why", "?", "!"]),
        ("so good!!!", ["so", "good", "!!!"]),
        ("a--b ((c))", ["a", "--", "b", "((", "c", "))"]),
        ("old<br />new<br>end<BR/>", ["old", "new", "end"]),
        ("a < b > c", ["a", "<", "b", ">", "c"]),
        ("Šárka à Kraków, 東京。", ["Šárka", "à", "Kraków", ",", "東京", "。"]),
        ("£3.50 in 2024", ["£", "3", ".", "50", "in", "2024"]),
        ("one\ttwo\u00a0three\u2003four\x85five\nsix", ["one", "two", "three", "four", "five", "six"]),
        ("snake_case x", ["snake_case", "x"]),
        ("👍👍 ok", ["👍👍", "ok"]),
        ("❤️ 👩‍👩‍👧👍🏽!", ["❤️", "👩‍👩‍👧", "👍🏽", "!"]),
        ("cafe\u0301 cafe\u0301s'", ["café", "cafés", "'"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("שָׁלוֹם, مُحَمَّد", ["שָׁלוֹם", ",", "مُحَمَّد"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("a\0b\u2028c\x85d", ["a", "\0", "b", "c", "d"]),
        ("\u0301 x", ["\u0301", "x"]),
    ],
)
def test_tokens_of_a_text(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


@pytest.mark.parametrize("text", ["", " \t\n", "<br />", "<br><br/>"])
def test_a_text_of_spaces_and_line_breaks_has_no_tokens(text: str) -> None:
    assert tokenize(text) == []


@given(st.text())
def test_no_token_is_empty_or_holds_a_space(text: str) -> None:
    assert not any(re.search(r"\s", token) or not token for token in tokenize(text))


@given(st.text().filter(lambda text: "<" not in text))
def test_every_character_but_spaces_stands_in_a_token(text: str) -> None:
    assert normalize("NFC", "".join(tokenize(text))) == normalize("NFC", re.sub(r"\s", "", text))


@given(st.text())
def test_places_cut_the_tokens_out_of_the_text(text: str) -> None:
    assert [normalize("NFC", text[start:end]) for start, end in token_places(text)] == tokenize(text)


@given(st.text())
def test_a_text_is_tokenised_alike_beside_an_accent_written_apart(text: str) -> None:
    assert tokenize(f"{text} e\u0301") == [*tokenize(text), "é"]


@given(st.text(alphabet="aéñ ü'"))
def test_accents_written_apart_give_the_same_tokens(text: str) -> None:
    assert tokenize(normalize("NFD", text)) == tokenize(text)


@given(st.text(), st.text())
def test_a_line_break_is_a_space(left: str, right: str) -> None:
    assert tokenize(f"{left}<br />{right}") == tokenize(f"{left} {right}")


@given(st.text())
def test_tokens_joined_by_spaces_are_tokenised_alike(text: str) -> None:
    tokens = tokenize(text)
    assert tokenize(" ".join(tokens)) == tokens


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
