"""Connections that answer one request after the other, and give up on slow clients."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import partial
from typing import Literal

from unroll.inference.server.http import Answer, Call
from unroll.inference.server.inbox import Inbox
from unroll.inference.server.incoming import PIECE, Incoming, NotHTTP, Parser
from unroll.inference.server.options import ServerOptions

log = logging.getLogger("unroll.server")

LINGER = 2.0  # seconds for a client to read why it was refused
CLOSE = "connection: close\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOTHING = memoryview(b"")


class Shared:
    """What the connections of a server share.

    Args:
        answer: is called with each request.
        options: how many connections there may be, and how long a client may make the server wait.
    """

    def __init__(self, answer: Callable[[Call], Awaitable[Answer]], options: ServerOptions) -> None:
        self.answer, self.options = answer, options
        self.connections: set[Connection] = set()
        self.is_draining = False
        self.tell_time()

    def tell_time(self) -> None:
        """Set the header that says when an answer was made. Called about once a second."""
        self.date = f"date: {formatdate(usegmt=True)}\r\n"


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        inbox: what the client sends; its first requests may have been answered by another process.
        on_lost: is called when the connection has ended.
    """

    def __init__(self, shared: Shared, inbox: Inbox, on_lost: Callable[[], None] = lambda: None) -> None:
        self._shared, self._inbox, self._on_lost, self._parser = shared, inbox, on_lost, Parser()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()  # the inbox reads
        self.transport = transport
        self._client = str((transport.get_extra_info("peername") or "-")[0])
        self._request: Incoming | None = None  # that is being answered
        self._task: asyncio.Task[None] | None = None  # that answers it
        self._rest = NOTHING  # bytes that are read after it is answered
        self._error: NotHTTP | None = None  # follows the requests that were complete
        self._stage = ("", 0)  # what it waits for, since a time
        self._since = time.monotonic()
        self._answered_before = self._inbox.answered  # the first requests, which another process has answered
        self._has_begun = self._inbox.written > 0
        self._answered = int(self._has_begun)
        self._is_refused = self._is_blocked = False
        self._shared.connections.add(self)
        self._inbox.open(self.data_received, transport.close)
        if len(self._shared.connections) > self._shared.options.max_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        if not self._is_refused and not self.transport.is_closing():
            self._has_begun = True
            self._rest = memoryview(bytes(self._rest) + data if self._rest else data)
            self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        self._shared.connections.discard(self)
        self._drop()
        self._parser.close()
        self._inbox.close()
        self._on_lost()

    def pause_writing(self) -> None:
        self._is_blocked = True

    def resume_writing(self) -> None:
        self._is_blocked = False
        self._go_on()

    def _go_on(self) -> None:
        """Read what has arrived, up to the end of a request, and begin to answer the request."""
        requests, parser = self._parser.requests, self._parser
        while not self._is_refused and not self.transport.is_closing():
            if self._answered_before and requests and requests[0].is_complete:
                requests.popleft()
                self._answered_before -= 1
            elif self._request is None and requests and not self._answered_before and not self._is_blocked:
                self._request = requests.popleft()
                self._task = asyncio.create_task(self._answer(self._request))
            elif self._error is not None:
                if self._request is None or not self._request.is_complete:
                    self.refuse(self._error.status, self._error.reason)
                break
            elif not self._rest or parser.is_over or self._has_next():
                break
            else:
                piece, self._rest = self._rest[:PIECE], self._rest[PIECE:]
                try:
                    parser.feed(piece)
                except NotHTTP as error:
                    self._error = error
        if self._is_refused:
            return
        if self._rest and not parser.is_over:
            self._inbox.pause()
            return
        self._rest = NOTHING  # an empty view would keep what it was cut from
        if self._request is None and not requests and parser.is_between:
            self._inbox.remove()
        self._inbox.resume(parser.missing)

    def _has_next(self) -> bool:
        """Whether a complete request waits for its turn or its answer."""
        if self._request is not None and self._request.is_complete:
            return True
        return bool(self._parser.requests) and not self._answered_before

    async def _answer(self, request: Incoming) -> None:
        read = partial(self._read, request)
        try:
            answer = await self._shared.answer(
                Call(request.method, request.target, request.path, request.headers, read, self._client)
            )
            is_last = request.is_last or request.waits or (self._shared.is_draining and not self._has_more())
            others = self._shared.date + (CLOSE if is_last else "")
            self._send(answer.message(others, has_body=request.method != "HEAD"), is_last)
        except Exception:
            log.exception("a request cannot be answered; this is a bug in unroll or in a library that it uses:")
            self.transport.abort()
            return
        request.is_answered = True
        self._request = self._task = None
        self._answered += 1
        if is_last:
            self._end(request.is_complete)
        else:
            self._go_on()

    async def _read(self, request: Incoming) -> tuple[bytes, bool]:
        if request.waits:
            self._inbox.writes(len(CONTINUE))
            self.transport.write(CONTINUE)
            request.waits = False
        return await request.read()

    def _send(self, answer: bytes, is_last: bool) -> None:
        self._inbox.answers(len(answer), is_last)
        self.transport.write(answer)

    def _has_more(self) -> bool:
        """Whether something has arrived behind the present request."""
        return bool(self._rest or self._parser.requests)

    def _end(self, is_read: bool) -> None:
        """Close the connection; if the client may be sending still, when it has had time to read the answer."""
        if is_read:
            self._inbox.remove()  # else the client would not get the answer, but be told that it was not read
            self.transport.close()
            return
        self._is_refused, self._since = True, time.monotonic()
        self._rest = NOTHING
        self._inbox.give_up()
        self._inbox.resume()
        with contextlib.suppress(OSError, RuntimeError):
            self.transport.write_eof()

    def _drop(self) -> None:
        """Answer none of the requests that have arrived."""
        self._parser.requests.clear()
        if self._task is not None:
            self._task.cancel()
        self._request = self._task = None

    def refuse(self, status: int, reason: str, headers: str = "") -> None:
        """Send an error in place of an answer, and close the connection."""
        self._drop()
        self._send(Answer.error(status, reason).message(self._shared.date + CLOSE + headers), True)
        self._end(False)

    def check(self, now: float) -> None:
        """Close the connection if the client has taken too long. Called about once a second."""
        if self._is_refused:
            if now - self._since > LINGER:
                self.transport.abort()
            return
        timeout = self._shared.options.timeout
        stage = (self._awaited(), self._answered)
        if stage != self._stage:
            self._stage, self._since = stage, now
        elif stage[0] == "next" and now - self._since > self._shared.options.keep_alive:
            self.transport.close()
        elif stage[0] in ("request", "reading") and now - self._since > timeout:
            if stage[0] == "request" and self._has_begun:
                self.refuse(408, f"no complete request within {timeout:g} s")
            else:
                self.transport.abort()

    def is_idle(self) -> bool:
        """Whether the server waits for the first byte of a request, or the client has been refused."""
        return self._is_refused or not self._has_begun or self._awaited() == "next"

    def _awaited(self) -> Literal["reading", "request", "next", "nothing"]:
        """What the client is to do: read its answer, send the rest of a request, or begin one if it likes."""
        if self._is_blocked or (self.transport.is_closing() and self.transport.get_write_buffer_size()):
            return "reading"
        if self._request is None:
            return "next" if self._answered and self._parser.is_between else "request"
        return "nothing" if self._request.is_complete else "request"

    def _make_room(self) -> None:
        """Close the connection that has waited longest for its first or next request, or else this one."""
        others = [it for it in self._shared.connections if it is not self and not it.transport.is_closing()]
        idle = [it for it in others if it.is_idle()]
        if idle:
            min(idle, key=lambda it: (it._has_begun, it._since)).transport.abort()
        else:
            count = self._shared.options.max_connections
            self.refuse(503, f"{count} connections are open", "retry-after: 1\r\n")
