"""Predictions as people read them."""

import pytest

from unroll.inference.pretty import pretty

PERSON = {"type": "PER", "text": "Ada", "start": 0, "end": 1, "start_char": 0, "end_char": 3}


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("Not bad.", {"label": "positive", "probability": 0.98765}, "positive  0.988  Not bad."),
        (("Who?", "Me."), {"label": "yes", "probability": 0.5}, "yes  0.500  Who? | Me."),
        ("Goal!", {"labels": ["sport"], "probabilities": {"law": 0.1, "sport": 0.9}}, "sport 0.900  Goal!"),
        ("Goal!", {"labels": [], "probabilities": {"law": 0.1}}, "(none)  Goal!"),
        ("Ada met us.", {"tokens": [], "labels": [], "entities": [PERSON]}, "[Ada PER] met us."),
        (
            ["Ada", "met"],
            {"tokens": [], "labels": [], "entities": [PERSON | {"probability": 0.9}]},
            "[Ada PER 0.900] met",
        ),
        ("we plan", {"tokens": ["we", "plan"], "labels": ["PRON", "VERB"]}, "we/PRON  plan/VERB"),
        (None, {"label": None, "probability": None}, "(not usable)  None"),
        (("Who?", None), {"label": None, "probability": None}, "(not usable)  Who? | None"),
        (["a", 1], {"label": None, "probability": None}, "(not usable)  a 1"),
    ],
)
def test_every_kind_of_answer_is_one_line(text: object, answer: dict, expected: str) -> None:
    assert pretty(text, answer, 80) == expected


def test_a_long_text_is_cut_at_the_width() -> None:
    line = pretty("word " * 100, {"label": "a", "probability": 1.0}, 60)
    assert len(line) == 60
    assert line.endswith("…")


def test_characters_that_a_terminal_obeys_are_not_printed() -> None:
    text = "a\x1b[2Jb\r\nc\x9b"
    for answer in ({"label": "\x1bx", "probability": 1.0}, {"tokens": [text], "labels": ["X"]}, {"entities": []}):
        assert pretty(text, answer, 80).isprintable()
