"""Tokenization, and the mapping of tokens to words of the vocabulary."""

import json
import re
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.subwords import Subwords
from unroll.data.text import is_visible
from unroll.data.tokenizer import Tokenizer, TokenizerOptions

tokenize = Tokenizer().tokenize
COUNTS = {"low": 50, "lower": 20, "newest": 60, "widest": 30, "café": 9}


def of(**options: Any) -> Tokenizer:
    return Tokenizer(TokenizerOptions(**options))


def with_pieces(model: Any, size: int = 24) -> Tokenizer:
    return Tokenizer(TokenizerOptions(subwords=model), Subwords.train(COUNTS, model, size))


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
        ("fine :) :-( ;D :'( <3", ["fine", ":)", ":-(", ";D", ":'(", "<3"]),
        ("(see: a)", ["(", "see", ":", "a", ")"]),
        ("http://a.b 1:3 3<3", ["http", ":", "//", "a", ".", "b", "1", ":", "3", "3", "<", "3"]),
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


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("我昨天看了一部很好的电影。", "我|昨天|看了|一部|很好|的|电影|。"),
        ("這部電影非常好看，我們喜歡！！", "這|部|電影|非常|好看|，|我們|喜歡|！！"),
        ("𠮷野は好きです", "𠮷|野|は|好き|です"),
        ("东京2024年iPhone手机", "东京|2024|年|iPhone|手机"),
        ("東京でカメラを買いました。", "東京|で|カメラ|を|買い|ま|した|。"),
        ("หนังเรื่องนี้สนุกมาก", "หนัง|เรื่อง|นี้|สนุก|มาก"),
        ("ຂ້ອຍມັກຮູບເງົານີ້", "ຂ້ອຍ|ມັກ|ຮູບເງົາ|ນີ້"),
        ("ខ្ញុំចូលចិត្តភាពយន្តនេះ", "ខ្ញុំ|ចូលចិត្ត|ភាពយន្ត|នេះ"),
        ("ខ្ញុំ\u200bចូលចិត្ត", "ខ្ញុំ|ចូលចិត្ត"),
        ("ဒီရုပ်ရှင်ကိုကြိုက်တယ်", "ဒီ|ရုပ်ရှင်|ကို|ကြိုက်|တယ်"),
        ("영화는 정말 재미있었어요.", "영화는|정말|재미있었어요|."),
    ],
)
def test_words_of_scripts_without_spaces_are_found(text: str, tokens: str) -> None:
    assert tokenize(text) == tokens.split("|")
    assert [text[start:end] for start, end in Tokenizer().offsets(text)] == tokens.split("|")


def test_kana_written_apart_from_their_marks_give_the_same_words() -> None:
    text = "学校でカメラを買いました"
    assert tokenize(normalize("NFD", text)) == tokenize(text) == ["学校", "で", "カメラ", "を", "買い", "ま", "した"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Ada's dog isn't here.", "Ada|'s|dog|is|n't|here|."),
        ("We’ve DON'T 'n' it'll", "We|’ve|DO|N'T|'|n|'|it|'ll"),
        ("Mr. J. Smith (U.S.) met Ms. Li.", "Mr.|J.|Smith|(|U.S.|)|met|Ms.|Li|."),
        ("the U.S.-led talks of 1996-08-22", "the|U.S.-led|talks|of|1996-08-22"),
        ("Plan B.", "Plan|B|."),
        ("2. Oslo 1:03.5 +0.4 US$ 5,000 -- 7%", "2.|Oslo|1:03.5|+0.4|US$|5,000|--|7|%"),
        ('"Hi," she said...', '"|Hi|,|"|she|said|...'),
        ("cafe\u0301's 👍🏽! हिन्दी", "café|'s|👍🏽|!|हिन्दी"),
    ],
)
def test_treebank_tokens_of_a_text(text: str, tokens: str) -> None:
    assert of(split="treebank").tokenize(text) == tokens.split("|")


@given(st.text().filter(is_visible))
def test_treebank_tokens_hold_every_character_except_spaces(text: str) -> None:
    tokens = of(split="treebank", nfc=False, html_breaks=False).tokenize(text)
    assert "".join(tokens).replace("\u200b", "") == re.sub(r"[\s\u200b]", "", text)


def test_a_tokenizer_saved_without_a_version_divides_at_spaces_only(tmp_path: Path) -> None:
    Tokenizer().save(tmp_path)
    file = tmp_path / "tokenizer.json"
    saved = json.loads(file.read_text())
    assert Tokenizer.load(tmp_path).options == TokenizerOptions()
    file.write_text(json.dumps({key: value for key, value in saved.items() if key != "version"}))
    old = Tokenizer.load(tmp_path)
    assert old.tokenize("我们喜欢这部电影。 It isn't!") == ["我们喜欢这部电影", "。", "It", "isn't", "!"]
    old.save(tmp_path)
    assert Tokenizer.load(tmp_path).options == old.options


@pytest.mark.parametrize("text", ["", " \t\n", "<br />", "<br><br/>"])
def test_a_text_of_spaces_and_line_breaks_has_no_tokens(text: str) -> None:
    assert tokenize(text) == []


@given(st.text())
def test_no_token_is_empty_or_holds_a_space(text: str) -> None:
    assert not any(re.search(r"\s", token) or not token for token in tokenize(text))


@pytest.mark.parametrize(
    "text", ["\u200b", "\ufeff", "\u00ad \u00ad", "<br>\u200d", "\x00\x1b", "\u2066\u2069", "\ufe0f"]
)
def test_a_text_of_characters_that_are_not_shown_has_no_tokens(text: str) -> None:
    assert tokenize(text) == Tokenizer().offsets(text) == []
    assert Tokenizer().tokenize("shown", text) == []
    assert tokenize(f"{text}a") != []


@given(st.text().filter(lambda text: "<" not in text and is_visible(text)))
def test_every_character_except_spaces_is_in_a_token(text: str) -> None:
    found = "".join(tokenize(text)).replace("\u200b", "")  # a space in some scripts
    assert normalize("NFC", found) == normalize("NFC", re.sub(r"[\s\u200b]", "", text))


@given(st.text())
def test_offsets_cut_the_tokens_out_of_the_text(text: str) -> None:
    assert [normalize("NFC", text[start:end]) for start, end in Tokenizer().offsets(text)] == tokenize(text)


@given(st.text().filter(is_visible))
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
    tokens = [token for token in tokenize(text) if token.isalnum()]
    assert tokenize(" ".join(tokens)) == tokens


def test_between_white_space_everything_is_one_token() -> None:
    assert of(split="whitespace").tokenize("It's (so) good!!<br>:)") == ["It's", "(so)", "good!!", ":)"]


def test_html_breaks_can_be_text() -> None:
    assert of(html_breaks=False, split="whitespace").tokenize("a<br>b") == ["a<br>b"]


def test_unicode_can_stay_as_it_is() -> None:
    assert of(nfc=False).tokenize("cafe\u0301") == ["cafe\u0301"]


@pytest.mark.parametrize(
    ("options", "word"), [({}, "b52s"), ({"lowercase": False}, "B52s"), ({"numbers": "zeros"}, "b00s")]
)
def test_a_token_is_a_word_of_the_vocabulary(options: dict[str, Any], word: str) -> None:
    assert of(**options).word("B52s") == word


def test_the_texts_of_a_pair_have_a_separator_between() -> None:
    assert tokenize("one two", "three") == ["one", "two", "<sep>", "three"]
    assert tokenize("one", " ") == tokenize(" ", "one") == []


@pytest.mark.parametrize("model", ["bpe", "unigram"])
def test_pieces_of_a_word_spell_it_and_but_the_first_are_marked(model: str) -> None:
    pieces = with_pieces(model).tokenize("Lowest")
    assert len(pieces) > 1
    assert pieces[0] + "".join(piece.removeprefix("##") for piece in pieces[1:]) == "Lowest"
    assert not pieces[0].startswith("##")
    assert all(piece.startswith("##") for piece in pieces[1:])


def test_byte_pairs_are_joined_as_in_the_paper() -> None:
    # Sennrich et al. 2016, section 3.2: frequent pairs are merged first, and words of train completely.
    assert with_pieces("bpe", 60).tokenize("newest low") == ["newest", "low"]


@pytest.mark.parametrize("model", ["bpe", "unigram"])
@given(text=st.text(alphabet="lowerWIDEST éx€😀 e\u0301İ"))
def test_offsets_of_pieces_cut_them_out_of_the_text(model: str, text: str) -> None:
    tokenizer = with_pieces(model)
    tokens, offsets = tokenizer.tokenize(text), tokenizer.offsets(text)
    assert len(tokens) == len(offsets)
    for token, (start, end) in zip(tokens, offsets, strict=True):
        assert token.removeprefix("##") in normalize("NFC", text[start:end])


@pytest.mark.parametrize("model", ["bpe", "unigram"])
def test_equal_words_give_equal_bytes(model: Any) -> None:
    assert Subwords.train(COUNTS, model, 24).model == Subwords.train(COUNTS, model, 24).model


@pytest.mark.parametrize("word", ["new york", "\t", "", "a\0b", "x" * 100_000])
def test_a_strange_word_keeps_its_characters(word: str) -> None:
    pieces = with_pieces("unigram").pieces(word)
    assert "".join([pieces[0], *(piece.removeprefix("##") for piece in pieces[1:])] if pieces else []) == word


def test_fewer_pieces_than_characters_are_an_error_that_says_how_many() -> None:
    characters = len(set("".join(COUNTS)))
    with pytest.raises(
        ValueError, match=rf"subword_vocabulary=5: .* {characters} characters.* {characters + 1} or more"
    ):
        with_pieces("bpe", 5)
    with_pieces("bpe", characters + 1)


@pytest.mark.parametrize("model", [None, "bpe", "unigram"])
def test_a_tokenizer_comes_back_from_its_folder(tmp_path: Path, model: str | None) -> None:
    tokenizer = with_pieces(model) if model else of(split="whitespace", numbers="zeros")
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.options == tokenizer.options
    assert loaded.tokenize("the lowest 52s") == tokenizer.tokenize("the lowest 52s")


def test_no_pieces_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="subword_vocabulary=0; accepted: 1 or more"):
        of(subword_vocabulary=0)
