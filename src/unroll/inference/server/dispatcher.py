"""Hands connections to workers, and those of a killed worker to another one."""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass

from unroll.inference.server.handover import UNANSWERED, Ledger, Note, byte_counts, rest_of

log = logging.getLogger("unroll.server")

PLACE = struct.Struct("I")  # what is sent along with a connection
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE = 0.05  # seconds to wait where a worker or the system has no room
MOST_DEATHS = 3  # workers that may be killed over a connection


@dataclass(eq=False)
class Client:
    """A connection.

    Args:
        note: with which a worker begins.
        deaths: workers that were killed since the last answer.
    """

    socket: socket.socket
    note: Note = UNANSWERED
    deaths: int = 0


class Desk:
    """Where a worker gets connections.

    Args:
        places: how many it can have.
    """

    def __init__(self, places: int) -> None:
        self.channel, self.workers_channel = socket.socketpair()
        self.channel.setblocking(False)
        self.file = Ledger.new_file(places)
        self.ledger = Ledger(self.file.fileno())
        self.clients: dict[int, Client] = {}
        self._free = list(range(places))

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *error: object) -> None:
        """Close what the worker's process has inherited."""
        self.workers_channel.close()
        self.file.close()

    @property
    def inherited(self) -> tuple[int, int]:
        """The descriptors that the worker's process needs."""
        return self.workers_channel.fileno(), self.file.fileno()

    def give(self, client: Client) -> bool:
        """Give the worker a connection; False if it has no room at present."""
        if not self._free:
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

    def close(self) -> None:
        self.channel.close()
        self.ledger.close()


class Dispatcher:
    """Accepts connections while there are workers, and hands each to the one that has the fewest.

    Args:
        listener: the listening socket.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._desks: list[Desk] = []  # of those that take connections
        self._waiting: deque[Client] = deque()  # for a worker
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._is_over = False

    def open(self, desk: Desk) -> None:
        """Its worker is ready."""
        self._desks.append(desk)
        self._go_on()

    def close(self, desk: Desk) -> None:
        """Its worker is to get no other connections, and is told so when it has fetched those that are its own."""
        if desk in self._desks:
            self._desks.remove(desk)
        with contextlib.suppress(OSError):
            desk.channel.shutdown(socket.SHUT_RDWR)

    def end(self, desk: Desk) -> None:
        """Its worker's process has ended: others go on with its connections."""
        self.close(desk)
        for place, client in desk.clients.items():
            if not self._is_over and self._outlives(client, desk.ledger.read(place)):
                self._waiting.append(client)
            else:
                client.socket.close()
        if desk.clients:
            log.info("%d of its %d connections go to other workers", len(self._waiting), len(desk.clients))
        desk.clients.clear()
        desk.close()
        self._go_on()

    async def finish(self, seconds: float) -> None:
        """Hand out what the kernel has accepted, in at most so many seconds, and tell all workers that it is all."""
        end = time.monotonic() + seconds
        self._accept()
        while self._desks and self._waiting and time.monotonic() < end:
            await asyncio.sleep(PAUSE)
            self._go_on()
        self._is_over = True
        self._loop.remove_reader(self._listener)
        for client in self._waiting:
            client.socket.close()
        for desk in list(self._desks):
            self.close(desk)

    def _outlives(self, client: Client, last: Note) -> bool:
        """Whether another worker can go on with a connection; sets the note for it."""
        counts = byte_counts(client.socket)
        note = rest_of(last, counts) if counts else None
        if counts is None or note is None:
            return False
        is_suspect = counts.unread > 0  # a request may be what kills the workers
        client.deaths = is_suspect * (client.deaths * (note.after == client.note.after) + 1)
        client.note = note
        return client.deaths <= MOST_DEATHS

    def _go_on(self) -> None:
        """Hand out what waits; then accept more, or wait for a worker."""
        self._later = None
        while self._waiting and self._give(self._waiting[0]):
            self._waiting.popleft()
        if self._is_over:
            return
        if self._desks and not self._waiting:
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
                    log.warning("no connection can be accepted at present: %s", error.strerror)
                    self._pause()
                    return
                continue  # the client has gone
            if not self._give(client):
                self._waiting.append(client)
                self._pause()

    def _pause(self) -> None:
        """Let connections wait in the kernel; look again later, if there is a worker."""
        self._loop.remove_reader(self._listener)
        if self._desks and self._later is None:
            self._later = self._loop.call_later(PAUSE, self._go_on)
