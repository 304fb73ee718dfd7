"""A request and its answer, between the server's connections and its paths."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from unroll.inference.server.body import Refused

JSON = "application/json"
PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Call(NamedTuple):
    """A request.

    Args:
        target: the path as it was sent, with the query.
        headers: their names in lower case.
        read: returns the next part of the body, and whether it is the last one.
        client: the address that it came from.
    """

    method: str
    target: str
    path: str
    headers: Mapping[bytes, bytes]
    read: Callable[[], Awaitable[tuple[bytes, bool]]]
    client: str


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

    def message(self, others: str = "", has_body: bool = True) -> bytes:
        """The bytes of the whole answer in HTTP/1.1.

        Args:
            others: more headers, as lines.
            has_body: False for the answer to HEAD.
        """
        own = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        head = (
            f"HTTP/1.1 {self.status} {PHRASES[self.status]}\r\ncontent-type: {self.kind}\r\n"
            f"content-length: {len(self.body)}\r\n{own}{others}\r\n"
        ).encode("latin-1")
        return head + self.body if has_body else head


def check_content_type(content_type: str) -> None:
    """Raise Refused if the body is said to be something else than JSON, such as the form of another site's page."""
    if content_type != JSON and content_type.partition(";")[0].strip().lower() != JSON:
        raise Refused(415, f"Content-Type: {content_type[:60]}; accepted: {JSON}")
