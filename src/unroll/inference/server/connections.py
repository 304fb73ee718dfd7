"""Connections that give up on slow clients, and a server that stops without losing a request."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Literal

import h11
import orjson
import uvicorn
from h11 import RemoteProtocolError
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from unroll.inference.server.options import ServerOptions

log = logging.getLogger("unroll.server")

BACKLOG = 2048
MAX_HEADER = 16 * 1024  # bytes
LINGER = 2.0  # seconds for a client to read why it was refused
IDLE_AT_END = 1.0  # seconds without a request after which a stopping server closes a connection


class Listener(socket.socket):
    """A listening socket that several processes share.

    asyncio accepts as many connections at once as its backlog is long, so that the first process to wake up would get
    all of them. This socket lets it accept one at a time, and keeps the queue of the kernel long.
    """

    def listen(self, backlog: int = 1) -> None:
        super().listen(BACKLOG)


class _Parser(h11.Connection):
    """h11's, which bounds only headers that arrive in parts, and sends headers and bodies apart."""

    _header = b""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request):
            size = len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers)
            if size > MAX_HEADER:
                raise RemoteProtocolError("the header is too long", error_status_hint=431)
        return event

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]  # None for ConnectionClosed
        data = super().send(event)
        if isinstance(event, h11.Response):
            self._header = data or b""
            return b""
        header, self._header = self._header, b""
        return data if data is None or not header else header + data


class Connection(H11Protocol):
    """uvicorn's connection, with limits on how long and how often a client may make the server wait."""

    max_connections = 1000
    timeout = 20.0  # seconds

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = _Parser(h11.SERVER, MAX_HEADER)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._stage = ("", 0)  # what it waits for, since a time
        self._since = time.monotonic()
        self._answered = 0
        self._is_refused = self._has_begun = False
        if len(self.connections) > self.max_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._has_begun = True
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.cycle is not None and not self.cycle.response_complete:
            cancel = self.cycle.scope["state"].get("cancel")
            if cancel is not None:
                cancel()

    def on_response_complete(self) -> None:
        self._answered += 1
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; called by uvicorn while it handles the error of the parser."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, RemoteProtocolError) else 400
        if status == 431:
            self.refuse(431, f"the header is longer than {MAX_HEADER} bytes")
        else:
            self.refuse(400, f"not a valid HTTP request: {str(error or msg).partition(': bytearray')[0][:200]}")

    def refuse(self, status: int, reason: str, headers: str = "") -> None:
        """Send an error, and close the connection when the client has had time to read it."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True  # so that the application does not answer
            self.cycle.message_event.set()
        self._unset_keepalive_if_required()
        self._is_refused, self._since = True, time.monotonic()
        body = orjson.dumps({"error": reason})
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n{headers}\r\n"
        )
        self.transport.write(head.encode() + body)
        with contextlib.suppress(OSError, RuntimeError):
            self.transport.write_eof()

    def check(self, now: float) -> None:
        """Close the connection if the client has taken too long. Called about once a second."""
        if self._is_refused:
            if now - self._since > LINGER:
                self.transport.abort()
            return
        stage = (self._awaited(), self._answered)
        if stage != self._stage:
            self._stage, self._since = stage, now
        elif stage[0] in ("request", "reading") and now - self._since > self.timeout:
            if stage[0] == "request" and self._has_begun:
                self.refuse(408, f"no complete request within {self.timeout:g} s")
            else:
                self.transport.abort()

    def is_idle(self) -> bool:
        """Whether the server waits for the first byte of a request, or the client has been refused."""
        return self._is_refused or not self._has_begun or self._awaited() == "next"

    def _awaited(self) -> Literal["reading", "request", "next", "nothing"]:
        """What the client is to do: read its answer, send the rest of a request, or begin one if it likes."""
        if self.flow.write_paused or (self.transport.is_closing() and self.transport.get_write_buffer_size()):
            return "reading"
        if self.cycle is None or self.cycle.response_complete:
            has_begun = self.timeout_keep_alive_task is None or self.conn.trailing_data[0]
            return "request" if has_begun else "next"
        return "request" if self.cycle.more_body else "nothing"

    def _make_room(self) -> None:
        """Close the connection that has waited longest for its first or next request, or else this one."""
        idle = [it for it in self.connections if isinstance(it, Connection) and it is not self and it.is_idle()]
        if idle:
            min(idle, key=lambda it: (it._has_begun, it._since)).transport.abort()
        else:
            self.refuse(503, f"{self.max_connections} connections are open", "retry-after: 1\r\n")


class DrainingServer(uvicorn.Server):
    """A server that answers, when it stops, all requests of connections that the kernel has accepted.

    Args:
        options: how long this may take, and how long clients may take.
        on_drain: is called when it begins.
    """

    def __init__(
        self, config: Config, listener: Listener, options: ServerOptions, on_drain: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._listener, self._options, self._on_drain = listener, options, on_drain
        self._next_check = 0.0
        self.is_draining = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM. Ctrl-C in a terminal reaches the supervisor too, which tells the workers to stop."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda number, frame: setattr(self, "should_exit", True))
        yield

    async def on_tick(self, counter: int) -> bool:
        if (now := time.monotonic()) >= self._next_check:
            self._next_check = now + min(1.0, self._options.timeout / 4)
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept what waits in the kernel, answer all with ``Connection: close``, and wait for the connections."""
        self.is_draining = True
        self._on_drain()
        # Cycles share this list, so that answers to requests that have begun carry the header too.
        self.server_state.default_headers.append((b"connection", b"close"))
        await self._accept_rest()
        end = time.monotonic() + self._options.drain
        idle_since: dict[Connection, float] = {}
        while self.server_state.connections and (now := time.monotonic()) < end:
            connections = [it for it in self.server_state.connections if isinstance(it, Connection)]
            idle_since = {it: idle_since.get(it, now) for it in connections if it.is_idle()}
            for connection, since in idle_since.items():
                if now - since > IDLE_AT_END:
                    connection.transport.close()
            for connection in connections:
                connection.check(now)
            await asyncio.sleep(0.02)
        if self.server_state.connections:
            log.warning(
                "stopped after %g s with %d open connections", self._options.drain, len(self.server_state.connections)
            )
        for left in list(self.server_state.connections):
            left.transport.abort()
        await self.lifespan.shutdown()

    async def _accept_rest(self) -> None:
        rest = socket.socket(fileno=os.dup(self._listener.fileno()))
        rest.setblocking(False)
        for server in self.servers:
            server.close()
        self._listener.close()
        loop = asyncio.get_running_loop()
        with rest:
            while True:
                try:
                    accepted, _ = rest.accept()
                except (BlockingIOError, ConnectionError):
                    return
                await loop.connect_accepted_socket(self._connection, accepted)

    def _connection(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
