import json
from typing import Any

import pytest

from unroll.inference.server.body import Refused, estimated_tokens, read_body
from unroll.inference.server.options import ServerOptions

TEXTS = {"task": "classification", "is_pair": False, "given_tokens": False}
PAIRS = TEXTS | {"is_pair": True}
ENTITIES = TEXTS | {"task": "labeling"}
KEYS, AS_MANY = "accepted: text, texts, errors, probabilities", "accepted: a list of the length of texts, 1"
PAIR = 'accepted by this model: {"text": "…", "text_pair": "…"}'
PAIRED = "accepted: a string, and the second text of a pair in text_pair"
OPTIONS = ServerOptions(max_texts=3, max_tokens=5, max_characters=40)


@pytest.mark.parametrize(
    ("content", "facts", "texts"),
    [
        ({"text": "a b"}, TEXTS, ["a b"]),
        ({"texts": ["a", "b"]}, TEXTS, ["a", "b"]),
        ({"text": "a", "text_pair": "b"}, PAIRS, [("a", "b")]),
        ({"texts": ["a", "c"], "text_pairs": ["b", "d"]}, PAIRS, [("a", "b"), ("c", "d")]),
        ({"tokens": [["a", "b"], ["c"]]}, ENTITIES, [["a", "b"], ["c"]]),
        ({"tokens": [["a"]]}, TEXTS | {"given_tokens": True}, [["a"]]),
        ({"text": "\0"}, TEXTS, ["\0"]),
    ],
)
def test_a_body_becomes_texts(content: Any, facts: dict[str, Any], texts: list[Any]) -> None:
    request = read_body(json.dumps(content).encode(), facts, OPTIONS)

    assert (request.texts, request.coerce, request.probabilities) == (texts, False, False)


def test_errors_can_be_coerced_and_probabilities_asked_for() -> None:
    assert read_body(b'{"text": "a", "errors": "coerce"}', TEXTS, OPTIONS).coerce
    assert read_body(b'{"text": "a", "probabilities": true}', TEXTS, OPTIONS).probabilities


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"\0", b'{"text": "\xff"}', b'{"text": "a\0"}', b'{"text": "\\ud800"}', b'{"text": NaN}'),
        *(b"[" * 100_000, b'{"a":' * 100_000, b"'text'", "{'text': 'a'}".encode("utf-16")),
    ],
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(Refused, match=r"the body is not JSON: .+line \d+ column \d+") as refused:
        read_body(body, TEXTS, OPTIONS)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("content", "facts", "reason"),
    [
        ([], TEXTS, 'the body is []; accepted: an object such as {"text": "…"}'),
        ({}, TEXTS, "the body has none of them; accepted: one of text, texts"),
        ({"text": "a", "texts": ["a"]}, TEXTS, "the body has text and texts; accepted: one of text, texts"),
        ({"text": 7}, TEXTS, "text is 7; accepted: a string"),
        ({"text": None}, TEXTS, "text is null; accepted: a string"),
        ({"text": ["a"]}, TEXTS, "text is a list of 1; accepted: a string"),
        ({"texts": "a"}, TEXTS, 'texts is "a"; accepted: a list with at least one string'),
        ({"texts": []}, TEXTS, "texts is []; accepted: a list with at least one string"),
        ({"texts": ["a", {"b": 1}]}, TEXTS, "texts[1] is an object of 1; accepted: a string"),
        ({"text": "a", "errors": "ignore"}, TEXTS, 'errors is "ignore"; accepted: raise, coerce'),
        ({"text": "a", "errors": ["raise"]}, TEXTS, "errors is a list of 1; accepted: raise, coerce"),
        ({"txt": "a"}, TEXTS, f"\"txt\": unknown key (did you mean 'text'?); {KEYS}"),
        ({"x" * 999: "a"}, TEXTS, f'"{"x" * 60}"…: unknown key; {KEYS}'),
        (
            {"tokens": [["a"]]},
            TEXTS,
            f"tokens: this model for classification reads texts; {KEYS}",
        ),
        (
            {"text": "a", "text_pair": "b"},
            TEXTS,
            f"text_pair: this model reads single texts; {KEYS}",
        ),
        ({"text": "a"}, PAIRS, f"the body has no text_pair; {PAIR}"),
        ({"texts": ["a"]}, PAIRS, f"the body has no text_pairs; {PAIR}"),
        ({"texts": [["a", "b"]]}, PAIRS, f"texts[0] is a list of 2; {PAIRED}s"),
        ({"text": ["a", "b"]}, PAIRS, f"text is a list of 2; {PAIRED}"),
        ({"text": "a", "probabilities": 1}, TEXTS, "probabilities is 1; accepted: true, false"),
        ({"text": "a", "text_pair": None}, PAIRS, "text_pair is null; accepted: a string"),
        (
            {"texts": ["a"], "text_pairs": []},
            PAIRS,
            f"text_pairs is 0 entries; {AS_MANY}",
        ),
        ({"texts": ["a"], "text_pairs": [1]}, PAIRS, "text_pairs[0] is 1; accepted: a string"),
        (
            {"texts": ["a"], "text_pair": "b"},
            PAIRS,
            "the body has texts and text_pair; accepted: text and text_pair, or texts and text_pairs",
        ),
        ({"tokens": ["a"]}, ENTITIES, 'tokens[0] is "a"; accepted: a list of strings'),
        ({"tokens": [["a", 1]]}, ENTITIES, "tokens[0] is a list of 2; accepted: a list of strings"),
    ],
)
def test_what_the_model_cannot_read_is_refused_with_what_is_accepted(
    content: Any, facts: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        read_body(json.dumps(content).encode(), facts, OPTIONS)
    assert (refused.value.status, refused.value.reason) == (422, reason)


@pytest.mark.parametrize(
    ("content", "facts", "reason"),
    [
        ({"texts": ["a"] * 4}, TEXTS, "texts has 4 entries; accepted: at most 3 in a request"),
        ({"text": "a" * 41}, TEXTS, "text has 41 characters; accepted: at most 40"),
        ({"texts": ["a", "a" * 41]}, TEXTS, "texts[1] has 41 characters; accepted: at most 40"),
        ({"text": "a" * 20, "text_pair": "a" * 21}, PAIRS, "text has 41 characters; accepted: at most 40"),
        ({"tokens": [["a"] * 6]}, ENTITIES, "tokens[0] has 6 tokens; accepted: at most 5"),
        ({"tokens": [["a" * 41]]}, ENTITIES, "tokens[0] has 41 characters; accepted: at most 40"),
    ],
)
def test_what_is_too_long_is_refused_with_the_limit(content: Any, facts: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        read_body(json.dumps(content).encode(), facts, OPTIONS)
    assert (refused.value.status, refused.value.reason) == (413, reason)


def test_tokens_are_estimated_from_characters() -> None:
    sentence = "This is a fairly common English sentence, is it not?"

    assert 8 <= estimated_tokens(sentence, False) <= 16
    assert estimated_tokens("这是一个相当普通的中文句子", False) >= 6
    assert estimated_tokens(("a b", "c d"), False) == 2
    assert estimated_tokens(["a", "b"], True) == 3
