"""Hands connections to workers, and those of a killed worker to another one."""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from unroll.inference.server.handover import COUNTS_BYTES, UNANSWERED, Ledger, Note, byte_counts, rest_of

log = logging.getLogger("unroll.server")

PLACE = struct.Struct("I")  # what is sent along with a connection
PAUSE = 0.05  # seconds to wait where a worker or the system has no room
MOST_DEATHS = 2  # workers that may be killed over a request without an end of its connection
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(eq=False)
class Client:
    """A connection.

    Args:
        note: with which a worker begins.
        is_new: whether no worker has had it.
        deaths: workers that were killed since the last answer.
    """

    socket: socket.socket
    note: Note = UNANSWERED
    is_new: bool = True
    deaths: int = 0


class Desk:
    """Where a worker gets connections.

    Args:
        most: how many it may have open. It gets up to twice as many if they are new: it is the one to refuse some.
    """

    def __init__(self, most: int) -> None:
        self.channel, self.workers_channel = socket.socketpair()
        self.channel.setblocking(False)
        self.file = Ledger.new_file(2 * most)
        self.ledger = Ledger(self.file.fileno())
        self.clients: dict[int, Client] = {}
        self._most, self._free = most, list(range(2 * most))

    @property
    def inherited(self) -> tuple[int, int]:
        """The descriptors that the worker's process needs."""
        return self.workers_channel.fileno(), self.file.fileno()

    def close_inherited(self) -> None:
        self.workers_channel.close()
        self.file.close()

    def give(self, client: Client) -> bool:
        """Give the worker a connection; False if it has no room at present."""
        if not self._free or (not client.is_new and len(self.clients) >= self._most):
            return False
        place = self._free[-1]
        self.ledger.write(place, client.note)
        try:
            socket.send_fds(self.channel, [PLACE.pack(place)], [client.socket.fileno()])
        except OSError:  # it has many to fetch, or it has been killed
            return False
        self._free.pop()
        self.clients[place] = client
        return True

    def free(self, place: int) -> None:
        """Close a connection that the worker has closed."""
        self.clients.pop(place).socket.close()
        self._free.append(place)

    def end(self) -> None:
        """Let the worker know, when it has fetched what it has been given, that this is all."""
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.channel.close()
        self.ledger.close()


class Dispatcher:
    """Accepts connections while there are workers, and hands each to the one that has the fewest.

    Args:
        listener: the listening socket; `finish` closes it.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._desks: list[Desk] = []  # of those that take connections
        self._waiting: deque[Client] = deque()  # for a worker
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._is_full = self._is_finishing = self._is_over = False

    def open(self, desk: Desk) -> None:
        """A worker is ready."""
        self._desks.append(desk)
        self._go_on()

    def free(self, desk: Desk, places: Iterable[int]) -> None:
        """A worker has closed connections."""
        for place in places:
            desk.free(place)
        if self._waiting:
            self._go_on()

    def retire(self, desk: Desk) -> None:
        """A worker is to get no more connections, and to end when it has answered those that it has."""
        if desk in self._desks:
            self._desks.remove(desk)
        desk.end()

    def take_back(self, desk: Desk) -> None:
        """A worker's process has ended: others take over its connections."""
        self.retire(desk)
        going_on = 0
        for place, client in desk.clients.items():
            if not self._is_over and self._outlives(client, desk.ledger.read(place)):
                self._waiting.append(client)
                going_on += 1
            else:
                client.socket.close()
        if desk.clients:
            log.info("%d of its %d connections go to other workers", going_on, len(desk.clients))
        desk.clients.clear()
        desk.close()
        self._go_on()

    async def finish(self, seconds: float) -> None:
        """Hand out what the kernel has accepted, and wait until all connections are closed, or for so many seconds.

        Until then, the connections of a worker that is killed go to the others.
        """
        end = time.monotonic() + seconds
        self._is_finishing = True
        self._go_on()
        while self._desks and (self._waiting or self._has_clients()) and time.monotonic() < end:
            await asyncio.sleep(PAUSE)
            self._go_on()
        self._is_over = True
        self._stop_listening()
        for client in self._waiting:
            client.socket.close()
        for desk in list(self._desks):
            self.retire(desk)

    def _has_clients(self) -> bool:
        return any(desk.clients for desk in self._desks)

    def _stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()

    def _outlives(self, client: Client, last: Note) -> bool:
        """Whether another worker can take over a connection; sets the note for it."""
        if not COUNTS_BYTES:
            return not last.ends  # no worker has begun
        counts = byte_counts(client.socket)
        note = rest_of(last, counts) if counts else None
        if counts is None or note is None:
            return False
        is_suspect = counts.unread > 0  # a request may be what kills the workers
        client.deaths = is_suspect * (client.deaths * (note.after == client.note.after) + 1)
        client.note, client.is_new = note, False
        return client.deaths <= MOST_DEATHS

    def _go_on(self) -> None:
        """Hand out what waits; then accept more, or wait for a worker."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        while self._waiting and self._give(self._waiting[0]):
            self._waiting.popleft()
        if self._listener.fileno() < 0:
            return
        if self._is_finishing:
            self._accept()
            if not self._waiting:
                self._stop_listening()
        elif self._desks and not self._waiting:
            self._loop.add_reader(self._listener, self._accept)
        else:
            self._pause()

    def _give(self, client: Client) -> bool:
        return any(desk.give(client) for desk in sorted(self._desks, key=lambda it: len(it.clients)))

    def _accept(self) -> None:
        """Accept what the kernel has accepted, as long as there is room."""
        while not self._waiting:
            try:
                client = Client(self._listener.accept()[0])
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in NO_ROOM:
                    if not self._is_full:
                        log.warning("connections wait, since no more can be opened: %s", error.strerror)
                    self._is_full = True
                    self._pause()
                    return
                continue  # the client has gone
            self._is_full = False
            if not self._give(client):
                self._waiting.append(client)
                self._pause()

    def _pause(self) -> None:
        """Let connections wait in the kernel; look again later, if there is a worker."""
        self._loop.remove_reader(self._listener)
        if self._desks and self._later is None:
            self._later = self._loop.call_later(PAUSE, self._go_on)
