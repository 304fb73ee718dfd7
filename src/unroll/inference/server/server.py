"""A server that gets its connections from another process, and stops without losing a request."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial

from unroll.inference.server.connections import Connection, Shared
from unroll.inference.server.dispatcher import PLACE
from unroll.inference.server.handover import Ledger
from unroll.inference.server.http import Answer, Call
from unroll.inference.server.inbox import Inbox
from unroll.inference.server.options import ServerOptions

log = logging.getLogger("unroll.server")

TICK = 0.1  # seconds between two looks at whether the server is to stop
IDLE_AT_END = 1.0  # seconds without a request after which a stopping server closes a connection


class Server:
    """Answers the requests of connections.

    Args:
        channel: where the connections come from, until its other end is closed.
        ledger: for notes of how far each connection has come.
        answer: is called with each request.
        options: how many connections there may be, and how long they and the end may take.
        report: is called about once a second.
        on_drain: is called when the server is to get no more connections.
        on_close: is called with the place of a connection that is closed.
    """

    def __init__(
        self,
        channel: socket.socket,
        ledger: Ledger,
        answer: Callable[[Call], Awaitable[Answer]],
        options: ServerOptions,
        report: Callable[[], None] = lambda: None,
        on_drain: Callable[[], None] = lambda: None,
        on_close: Callable[[int], None] = lambda place: None,
    ) -> None:
        self._channel, self._ledger, self._options = channel, ledger, options
        self._report, self._on_drain, self._on_close = report, on_drain, on_close
        self._shared = Shared(answer, options)
        self._beginning: set[asyncio.Task[object]] = set()
        self._is_stopping = self._has_all = False

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
        """Serve until `stop`; then answer all requests of the connections that are there, and that come still."""
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel, self._fetch)
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
        await self._drain()

    def _fetch(self) -> None:
        """Take the connections that have been sent."""
        while True:
            try:
                place, descriptors, _, _ = socket.recv_fds(self._channel, PLACE.size, 1)
            except BlockingIOError:
                return
            except ConnectionError:
                place = b""
            if not place:
                asyncio.get_running_loop().remove_reader(self._channel)
                self._has_all = self._is_stopping = True
                return
            self._begin(descriptors, *PLACE.unpack(place))

    def _begin(self, descriptors: list[int], place: int) -> None:
        if not descriptors:
            log.warning("a connection is closed: no more files can be opened")
            self._on_close(place)
            return
        task = asyncio.create_task(self._connect(socket.socket(fileno=descriptors[0]), place))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _connect(self, client: socket.socket, place: int) -> None:
        client.setblocking(False)
        inbox = Inbox(client, self._ledger, place)
        build = partial(Connection, self._shared, inbox, partial(self._on_close, place))
        try:
            await asyncio.get_running_loop().connect_accepted_socket(build, client.dup())
        except OSError as error:
            log.warning("a connection is closed: %s", error.strerror)
            inbox.close()
            self._on_close(place)

    def _check(self, now: float) -> None:
        for connection in list(self.connections):
            connection.check(now)

    def _may_have_more(self) -> bool:
        return bool(self.connections or self._beginning or not self._has_all)

    async def _drain(self) -> None:
        """Answer all with ``Connection: close``, and wait for the connections."""
        end = time.monotonic() + self._options.drain
        idle_since: dict[Connection, float] = {}
        while self._may_have_more() and (now := time.monotonic()) < end:
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
