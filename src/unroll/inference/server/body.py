"""Reads the body of ``POST /predict``: JSON to texts, or the reason why not."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson

from unroll.data.tokens import TOKEN_TASKS
from unroll.inference.server.batcher import Text
from unroll.inference.server.options import ServerOptions

SHOWN = 60  # characters of a wrong value in a message


class Refused(Exception):
    """A request that is not answered with predictions.

    Args:
        status: the HTTP status.
        reason: for the client, in one line.
        headers: of the answer.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers or {}


@dataclass(frozen=True)
class Request:
    """What a body asks for.

    Args:
        texts: at least one.
        key: of the body, for messages: `text`, `texts` or `tokens`.
        coerce: whether a text that cannot be used gets null in place of an error.
        probabilities: whether the answer has all of them.
    """

    texts: list[Text]
    key: str
    coerce: bool
    probabilities: bool

    def place(self, position: int) -> str:
        return self.key if self.key == "text" else f"{self.key}[{position}]"


def read_body(body: bytes, facts: dict[str, Any], options: ServerOptions) -> Request:
    """Read a body for the model that `ServedModel.facts` describes.

    Raises:
        Refused: it is not JSON (400), not what the model reads (422), or too long (413).
    """
    try:
        # Refuses invalid UTF-8, lone surrogates, control characters and more than 1024 nested brackets.
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise Refused(422, f"the body is {_shown(content)}; accepted: an object such as {_example(facts)}")
    keys = [key for key in ("text", "texts", "tokens") if key in content]
    accepted = _keys(facts)
    for key in content:
        if key not in accepted:
            raise Refused(422, _unknown(key, facts, accepted))
    if len(keys) != 1:
        found = "none of them" if not keys else " and ".join(keys)
        names = [key for key in ("text", "texts", "tokens") if key in accepted]
        raise Refused(422, f"the body has {found}; accepted: one of {', '.join(names)}")
    errors = content.get("errors", "raise")
    if errors not in ("raise", "coerce"):
        raise Refused(422, f"errors is {_shown(errors)}; accepted: raise, coerce")
    probabilities = content.get("probabilities", False)
    if not isinstance(probabilities, bool):
        raise Refused(422, f"probabilities is {_shown(probabilities)}; accepted: true, false")
    key = keys[0]
    request = Request(_texts(key, content, facts, options), key, errors == "coerce", probabilities)
    _check_lengths(request, options)
    return request


def _texts(key: str, content: dict[str, Any], facts: dict[str, Any], options: ServerOptions) -> list[Text]:
    values = [content[key]] if key == "text" else content[key]
    if not isinstance(values, list) or not values:
        raise Refused(422, f"{key} is {_shown(values)}; accepted: a list with at least one {_kind(key)}")
    if len(values) > options.max_texts:
        raise Refused(413, f"{key} has {len(values)} entries; accepted: at most {options.max_texts} in a request")
    if key == "tokens":
        for position, tokens in enumerate(values):
            if not isinstance(tokens, list) or not all(isinstance(it, str) for it in tokens):
                raise Refused(422, f"tokens[{position}] is {_shown(tokens)}; accepted: a list of strings")
        return values
    second = "text_pair" if key == "text" else "text_pairs"
    _check_strings(key, values, f", and the second text of a pair in {second}" if facts["is_pair"] else "")
    other = "text_pairs" if key == "text" else "text_pair"
    if other in content:
        raise Refused(422, f"the body has {key} and {other}; accepted: text and text_pair, or texts and text_pairs")
    if not facts["is_pair"]:
        return values
    if second not in content:
        raise Refused(422, f"the body has no {second}; accepted by this model: {_example(facts)}")
    pairs = content[second]
    pairs = [pairs] if key == "text" else pairs
    if not isinstance(pairs, list) or len(pairs) != len(values):
        count = f"{len(pairs)} entries" if isinstance(pairs, list) else _shown(pairs)
        raise Refused(422, f"{second} is {count}; accepted: a list of the length of texts, {len(values)}")
    _check_strings(second, pairs)
    return list(zip(values, pairs, strict=True))


def _check_strings(key: str, values: list[Any], others: str = "") -> None:
    for position, value in enumerate(values):
        if not isinstance(value, str):
            place = f"{key}[{position}]" if key.endswith("s") else key
            raise Refused(422, f"{place} is {_shown(value)}; accepted: a string{others}")


def _check_lengths(request: Request, options: ServerOptions) -> None:
    for position, text in enumerate(request.texts):
        length = characters(text)
        if length > options.max_characters:
            reason = f"{request.place(position)} has {length} characters; accepted: at most {options.max_characters}"
            raise Refused(413, reason)
        if request.key == "tokens" and len(text) > options.max_tokens:
            raise too_many_tokens(request, position, len(text), options)


def too_many_tokens(request: Request, position: int, tokens: int, options: ServerOptions) -> Refused:
    return Refused(413, f"{request.place(position)} has {tokens} tokens; accepted: at most {options.max_tokens}")


def characters(text: Text) -> int:
    """The characters of a text, of both texts of a pair, or of all tokens."""
    return len(text) if isinstance(text, str) else sum(map(len, text))


def estimated_tokens(text: Text, is_tokens: bool) -> int:
    """About the number of tokens of a text, for batches; counting them takes longer than this."""
    if is_tokens:
        return len(text) + 1
    parts = (text,) if isinstance(text, str) else text
    return sum(len(part) // (5 if part.isascii() else 2) + 1 for part in parts)


def _keys(facts: dict[str, Any]) -> list[str]:
    pairs = ["text_pair", "text_pairs"] if facts["is_pair"] else []
    return ["text", "texts", *pairs, *(["tokens"] if takes_tokens(facts) else []), "errors", "probabilities"]


def takes_tokens(facts: dict[str, Any]) -> bool:
    """Whether the model labels lists of tokens as they are."""
    return bool(facts["task"] in TOKEN_TASKS or facts["given_tokens"])


def _unknown(key: str, facts: dict[str, Any], accepted: list[str]) -> str:
    listed = f"accepted: {', '.join(accepted)}"
    if key == "tokens":
        return f"tokens: this model for {facts['task']} reads texts; {listed}"
    if key in ("text_pair", "text_pairs"):
        return f"{key}: this model reads single texts; {listed}"
    close = get_close_matches(key, accepted, n=1) if len(key) < SHOWN else []
    return f"{_shown(key)}: unknown key{f' (did you mean {close[0]!r}?)' if close else ''}; {listed}"


def _kind(key: str) -> str:
    return "list of strings" if key == "tokens" else "string"


def _example(facts: dict[str, Any]) -> str:
    return '{"text": "…", "text_pair": "…"}' if facts["is_pair"] else '{"text": "…"}'


def _shown(value: Any) -> str:
    """A value in JSON, cut: for a long one its beginning."""
    if isinstance(value, list | dict) and value:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = orjson.dumps(value[:SHOWN] if isinstance(value, str) else value).decode()
    return f"{text}…" if isinstance(value, str) and len(value) > SHOWN else text
