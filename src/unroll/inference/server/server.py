"""A server that shares its listening socket with other processes, and stops without losing a request."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable

from unroll.inference.server.connections import Connection, Shared
from unroll.inference.server.http import Answer, Call
from unroll.inference.server.options import ServerOptions

log = logging.getLogger("unroll.server")

BACKLOG = 2048
TICK = 0.1  # seconds between two looks at whether the server is to stop
IDLE_AT_END = 1.0  # seconds without a request after which a stopping server closes a connection


class Listener(socket.socket):
    """A listening socket that several processes share.

    asyncio accepts as many connections at once as its backlog is long, so that the first process to wake up would get
    all of them. This socket lets it accept one at a time, and keeps the queue of the kernel long.
    """

    def listen(self, backlog: int = 1) -> None:
        super().listen(BACKLOG)


class Server:
    """Answers the requests of a listening socket.

    Args:
        answer: is called with each request.
        options: how many connections there may be, and how long they and the end may take.
        report: is called about once a second.
        on_drain: is called when the server stops accepting connections.
    """

    def __init__(
        self,
        listener: Listener,
        answer: Callable[[Call], Awaitable[Answer]],
        options: ServerOptions,
        report: Callable[[], None] = lambda: None,
        on_drain: Callable[[], None] = lambda: None,
    ) -> None:
        self._listener, self._options, self._report, self._on_drain = listener, options, report, on_drain
        self._shared = Shared(answer, options)
        self._is_stopping = False

    @property
    def connections(self) -> set[Connection]:
        return self._shared.connections

    @property
    def is_draining(self) -> bool:
        return self._shared.is_draining

    def stop(self) -> None:
        """Let `serve` come to its end."""
        self._is_stopping = True

    async def serve(self) -> None:
        """Serve until `stop`; then answer all requests of connections that the kernel has accepted."""
        loop = asyncio.get_running_loop()
        # With a backlog of 1 asyncio accepts one connection at a time; see Listener.
        accepting = await loop.create_server(self._connection, sock=self._listener, backlog=1)
        shortest = min(1.0, self._options.timeout / 4, self._options.keep_alive / 4)
        next_report = next_check = 0.0
        while not self._is_stopping:
            now = time.monotonic()
            if now >= next_report:
                next_report = now + 1
                self._shared.tell_time()
                self._report()
            if now >= next_check:
                next_check = now + shortest
                self._check(now)
            await asyncio.sleep(TICK)
        self._shared.is_draining = True
        self._on_drain()
        await self._accept_rest(accepting)
        await self._drain()

    def _connection(self) -> Connection:
        return Connection(self._shared)

    def _check(self, now: float) -> None:
        for connection in list(self.connections):
            connection.check(now)

    async def _drain(self) -> None:
        """Answer all with ``Connection: close``, and wait for the connections."""
        end = time.monotonic() + self._options.drain
        idle_since: dict[Connection, float] = {}
        while self.connections and (now := time.monotonic()) < end:
            idle_since = {it: idle_since.get(it, now) for it in self.connections if it.is_idle()}
            for connection, since in idle_since.items():
                if now - since > IDLE_AT_END:
                    connection.transport.close()
            self._check(now)
            await asyncio.sleep(0.02)
        if self.connections:
            log.warning("stopped after %g s with %d open connections", self._options.drain, len(self.connections))
        for left in list(self.connections):
            left.transport.abort()

    async def _accept_rest(self, accepting: asyncio.Server) -> None:
        """Accept what waits in the kernel."""
        rest = socket.socket(fileno=os.dup(self._listener.fileno()))
        rest.setblocking(False)
        accepting.close()
        self._listener.close()
        loop = asyncio.get_running_loop()
        with rest:
            while True:
                try:
                    accepted, _ = rest.accept()
                except (BlockingIOError, ConnectionError):
                    return
                await loop.connect_accepted_socket(self._connection, accepted)
