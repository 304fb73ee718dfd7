"""A request and its answer, between the server's connections and its paths."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import orjson

from unroll.inference.server.body import Refused

Receive = Callable[[], Awaitable[Any]]  # as in ASGI
Send = Callable[[Any], Awaitable[None]]

JSON = "application/json"


class Gone(Exception):
    """The client has closed its connection."""


class Call(NamedTuple):
    """A request.

    Args:
        headers: their names in lower case.
        receive: for the parts of the body, as in ASGI.
        state: of the request; the connection calls its `cancel` if the client has gone.
    """

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    receive: Receive
    state: dict[str, Any]


class Answer(NamedTuple):
    """What is sent back; the length is added to the headers."""

    status: int
    body: bytes
    kind: str = JSON
    headers: Mapping[str, str] = {}

    @classmethod
    def json(cls, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> "Answer":
        """Content of plain values and NumPy arrays."""
        return cls(status, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), headers=headers or {})

    @classmethod
    def error(cls, status: int, reason: str, headers: Mapping[str, str] | None = None) -> "Answer":
        return cls.json({"error": reason}, status, headers)


def check_content_type(content_type: str) -> None:
    """Raise Refused if the body is said to be something else than JSON, such as the form of another site's page."""
    if content_type != JSON and content_type.partition(";")[0].strip().lower() != JSON:
        raise Refused(415, f"Content-Type: {content_type[:60]}; accepted: {JSON}")
