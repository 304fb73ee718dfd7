"""Reads requests from the bytes of a connection, with limits on what a client may make the server keep."""

import asyncio
from collections import deque
from urllib.parse import unquote

import httptools

MAX_HEADER = 16 * 1024  # bytes
PIECE = 4096  # bytes that are parsed at once; all requests in them are kept until they are answered
FRAMING = (b"content-length", b"transfer-encoding")


class NotHTTP(Exception):
    """What the client has sent cannot be answered as a request.

    Args:
        status: the HTTP status.
        reason: for the client, in one line.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Incoming:
    """A request, as far as it has arrived.

    Args:
        target: as it was sent.
        headers: their names in lower case.
        is_last: whether no other one follows on the connection.
        waits: whether the client waits to be told to send the body.
    """

    def __init__(self, method: str, target: str, headers: dict[bytes, bytes], is_last: bool, waits: bool) -> None:
        self.method, self.target, self.headers, self.is_last, self.waits = method, target, headers, is_last, waits
        self.is_complete = self.is_answered = False
        self._parts: list[bytes] = []
        self._reader: asyncio.Future[None] | None = None

    @property
    def path(self) -> str:
        """Without scheme, host and query, and decoded."""
        path = self.target.partition("?")[0]
        if not path.startswith("/") and "://" in path:
            path = "/" + path.partition("://")[2].partition("/")[2]
        return unquote(path)

    def add(self, part: bytes) -> None:
        """Take more of the body, which is dropped if the request is answered."""
        if not self.is_answered:
            self.waits = False
            self._parts.append(part)
            self._wake()

    def complete(self) -> None:
        self.waits, self.is_complete = False, True
        self._wake()

    async def read(self) -> tuple[bytes, bool]:
        """Wait for the next part of the body; return it, and whether it is the last one."""
        if not self._parts and not self.is_complete:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        part = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        return part, self.is_complete

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Parser:
    """Appends the requests of a connection to `requests` as soon as their headers are complete."""

    def __init__(self) -> None:
        self.requests: deque[Incoming] = deque()
        self.is_over = False  # the last request of the connection is complete
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[bytes, bytes] | None = None  # of the request that begins
        self._request: Incoming | None = None  # whose body arrives
        self._target = b""
        self._size = 0  # bytes of the complete headers
        self.missing = 0  # bytes of the body that have not arrived, as far as the client has told its length
        self._bare = 0  # bytes since the last one of a body: bounds headers, trailers, and the extensions of chunks
        self._is_body_elsewhere = False

    @property
    def is_between(self) -> bool:
        """Whether no request has arrived in part."""
        return self._headers is None and self._request is None

    def feed(self, data: "bytes | memoryview[int]") -> None:
        """Take the next bytes, up to PIECE of them; raises NotHTTP, and is not to be called again then."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_on(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self.is_over:  # what follows the last request is not read
                raise error.__context__ if isinstance(error.__context__, NotHTTP) else _not_http(error) from error
        self._bare += len(data)
        if self._bare > MAX_HEADER + PIECE:
            raise _too_long()

    def close(self) -> None:
        """Let the parser, which refers to this object, be freed."""
        del self._parser

    def _read_on(self, rest: "bytes | memoryview[int]") -> None:
        """Stay with HTTP/1.1 when a client offers another protocol, as Java's does: read the body, where parsers stop.

        The request is the last one of its connection.
        """
        if self._request is not None:
            self._is_body_elsewhere = False
            headers = self._request.headers
            framing = b"".join(b"%s: %s\r\n" % (name, headers[name]) for name in FRAMING if name in headers)
            self._parser = httptools.HttpRequestParser(_BodyOnly(self))
            self.feed(b"POST / HTTP/1.1\r\n%s\r\n" % framing)
            self.feed(rest)

    # The parser calls what follows.

    def on_message_begin(self) -> None:
        self._headers, self._target, self._size, self._bare = {}, b"", 0, 0

    def on_url(self, part: bytes) -> None:
        self._target += part
        self._size += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headers is None:
            return  # a trailer
        name = name.lower()
        if name == b"host" and name in self._headers:
            raise NotHTTP(400, "not a valid HTTP request: two Host headers")
        self._headers[name] = value
        self._size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        headers, parser, version = self._headers, self._parser, self._parser.get_http_version()
        assert headers is not None
        if self._size > MAX_HEADER:
            raise _too_long()
        if version not in ("1.1", "1.0"):
            raise NotHTTP(400, f"not a valid HTTP request: HTTP/{version}; accepted: HTTP/1.1, HTTP/1.0")
        if version == "1.1" and b"host" not in headers:
            raise NotHTTP(400, "not a valid HTTP request: no Host header")
        is_upgrade = parser.should_upgrade()
        is_last = version == "1.0" or is_upgrade or not parser.should_keep_alive()
        self._is_body_elsewhere = is_upgrade and any(name in headers for name in FRAMING)
        self._headers = None
        self.missing = int(headers.get(b"content-length", 0))  # the parser has checked that it is a number
        waits = version == "1.1" and headers.get(b"expect", b"").lower() == b"100-continue"
        method, target = parser.get_method().decode(), self._target.decode()
        self._request = Incoming(method, target, headers, is_last, waits)
        self.requests.append(self._request)

    def on_body(self, part: bytes) -> None:
        self._bare = 0
        self.missing -= len(part)
        if self._request is not None:
            self._request.add(part)

    def on_message_complete(self) -> None:
        if self._request is not None and not self._is_body_elsewhere:
            self._request.complete()
            self.is_over, self._request, self._bare = self._request.is_last, None, 0


class _BodyOnly:
    """What a parser calls whose header is not the client's."""

    def __init__(self, reader: Parser) -> None:
        self.on_body, self.on_message_complete = reader.on_body, reader.on_message_complete


def _not_http(error: httptools.HttpParserError) -> NotHTTP:
    return NotHTTP(400, f"not a valid HTTP request: {str(error)[:200]}")


def _too_long() -> NotHTTP:
    return NotHTTP(431, f"the header is longer than {MAX_HEADER} bytes")
