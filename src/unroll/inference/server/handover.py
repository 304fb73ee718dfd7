"""What another process must know of a connection to take it over when the one that answers is killed.

The kernel keeps a connection while some process has it open, and what a client has sent until it is removed. So the
supervisor has all connections open, and workers remove a request when it has been answered. Whether the last answer was
sent before a worker was killed follows from what it noted in memory that it shares with the supervisor, and from the
numbers of bytes that the kernel has counted.
"""

import fcntl
import mmap
import os
import socket
import struct
import sys
import tempfile
import termios
from typing import BinaryIO, NamedTuple

COUNTS_BYTES = sys.platform == "linux"  # whether the system counts bytes; elsewhere connections end with their worker
ESTABLISHED, CLOSE_WAIT = 1, 8  # states of a connection: open, and closed by the client
_ACKNOWLEDGED_RECEIVED = struct.Struct("QQ")
_OFFSET = 120  # of these numbers in Linux's struct tcp_info
_NUMBER = struct.Struct("i")


class Note(NamedTuple):
    """How far a worker has come with a connection.

    Args:
        before: bytes that were written to the client before the newest answer.
        after: the same with the answer.
        removed: bytes that were removed from those which the client has sent.
        answered: requests in the bytes behind them that are answered when `after` bytes are written.
        ends: whether nobody can take over the connection when `after` bytes are written.
    """

    before: int
    after: int
    removed: int
    answered: int = 0
    ends: bool = False


UNANSWERED = Note(0, 0, 0)  # of a new connection


class Ledger:
    """A note for each of a number of places, in memory that processes share.

    A process may be killed while it writes a note: then the former one holds.

    Args:
        file: descriptor of a file that `new_file` has made; the ledger does not need it afterwards.
    """

    _NOTE = struct.Struct("QQQI?")
    _STRIDE = 2 * _NOTE.size + 1  # two notes, and which of them holds

    def __init__(self, file: int) -> None:
        self._memory = mmap.mmap(file, 0)

    @classmethod
    def new_file(cls, places: int) -> BinaryIO:
        """A file without a name for a new ledger; raises OSError if the disk is full."""
        file = os.fdopen(os.memfd_create("ledger"), "w+b") if COUNTS_BYTES else tempfile.TemporaryFile()  # noqa: SIM115
        file.write(bytes(places * cls._STRIDE))  # not sparse: it would fail when a note is written
        file.flush()
        return file

    def read(self, place: int) -> Note:
        start = place * self._STRIDE
        which = self._memory[start]
        return Note(*self._NOTE.unpack_from(self._memory, start + 1 + which * self._NOTE.size))

    def write(self, place: int, note: Note) -> None:
        start = place * self._STRIDE
        which = 1 - self._memory[start]
        self._NOTE.pack_into(self._memory, start + 1 + which * self._NOTE.size, *note)
        self._memory[start] = which

    def close(self) -> None:
        self._memory.close()


def is_open(client: socket.socket) -> bool:
    """Whether the client may send more; asks the kernel, and takes nothing from it. Linux only."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED


class ByteCounts(NamedTuple):
    """What the kernel knows of a connection.

    Args:
        written: bytes that processes of this machine have written to it.
        removed: bytes that they have read, and not only looked at.
        unread: bytes that wait for them.
    """

    written: int
    removed: int
    unread: int


def byte_counts(client: socket.socket) -> ByteCounts | None:
    """The numbers of bytes of a connection; None if nobody can use it any more, or the system does not tell them."""
    if not COUNTS_BYTES:
        return None
    while True:
        info = _info(client)
        unacknowledged, unread = (_ask(client, what) for what in (termios.TIOCOUTQ, termios.FIONREAD))
        if info == _info(client):  # else something has arrived in between
            break
    state, acknowledged, received = info
    if state not in (ESTABLISHED, CLOSE_WAIT):
        return None
    removed = received - unread - (state == CLOSE_WAIT)  # the end of what the client sends counts as a byte
    if removed < 0:  # some emulated kernels count nothing
        return None
    return ByteCounts(acknowledged + unacknowledged, removed, unread)


def rest_of(note: Note, counts: ByteCounts) -> Note | None:
    """The note with which another process takes over; None if none can.

    That is so where an answer was sent in part, or a request is not in the kernel any more.

    Args:
        note: the last one of a process that has ended.
    """
    if counts.written >= note.after:
        if note.ends:
            return None
        answered = note.answered
    elif (counts.written, counts.removed) == (note.before, note.removed):
        answered = note.answered - 1
    else:
        return None
    return Note(counts.written, counts.written, counts.removed, answered if counts.removed == note.removed else 0)


def _info(client: socket.socket) -> tuple[int, int, int]:
    """State of a connection, bytes that the client has acknowledged, and bytes that it has sent."""
    info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OFFSET + _ACKNOWLEDGED_RECEIVED.size)
    return info[0], *_ACKNOWLEDGED_RECEIVED.unpack_from(info, _OFFSET)


def _ask(client: socket.socket, what: int) -> int:
    number: int = _NUMBER.unpack(fcntl.ioctl(client, what, bytes(_NUMBER.size)))[0]
    return number
