"""What a client has sent, which stays in the kernel until it has been answered."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from unroll.inference.server.handover import COUNTS_BYTES, Ledger, Note, is_open

KEPT = 64 * 1024  # bytes of a connection that stay in the kernel
READ = 256 * 1024  # bytes that are read at once of those which do not


class Inbox:
    """Reads what a client sends, and notes what has been answered: another process can go on if this one is killed.

    A client that sends more than KEPT bytes before an answer is read as usual; its connection ends with the process.

    Args:
        client: the connection; is closed by `close`.
        ledger, place: where the notes are written. The present one says where another process has stopped.

    Attributes:
        written: bytes that have been written to the client.
        answered: how many of the requests that are in the kernel have been answered.
    """

    def __init__(self, client: socket.socket, ledger: Ledger, place: int) -> None:
        self._client, self._ledger, self._place = client, ledger, place
        note = ledger.read(place)
        self.written, self._removed, self.answered = note.after, note.removed, note.answered
        self._peeked = 0  # bytes that have been read and are in the kernel still
        self._is_kept = COUNTS_BYTES
        if not COUNTS_BYTES:
            self._ledger.write(place, Note(0, 0, 0, ends=True))
        self._is_reading = False
        self._least = 0  # bytes that wake the process; what another one has set is unknown

    def open(self, receive: Callable[[bytes], None], end: Callable[[], None]) -> None:
        """Begin to read.

        Args:
            receive: is called with the next bytes.
            end: is called when the client has closed the connection.
        """
        self._loop, self._receive, self._end = asyncio.get_running_loop(), receive, end
        self.resume()

    def resume(self, missing: int = 0) -> None:
        """Read.

        Args:
            missing: bytes without which a request is not complete: do not wake up before they are there.
        """
        if self._is_kept:
            self._wake_at(self._peeked + min(max(1, missing), KEPT - self._peeked))
        if not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._client, self._read)

    def pause(self) -> None:
        """Do not read before `resume`."""
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._client)

    def answers(self, size: int, ends: bool) -> None:
        """Note that a request is going to be answered.

        Args:
            size: of the answer in bytes.
            ends: whether the connection is closed after it.
        """
        before = self.written
        self.written += size
        self.answered += 1
        if self._is_kept:  # else the last note says that nobody can go on
            note = Note(before, self.written, self._removed, self.answered, ends)
            self._ledger.write(self._place, note)

    def writes(self, size: int) -> None:
        """Note that something else is going to be written."""
        self.written += size

    def remove(self) -> None:
        """Remove what has been read: all of it has been answered."""
        self.answered = 0
        self._take()
        if COUNTS_BYTES and not self._is_kept:
            self._is_kept = True
            self._ledger.write(self._place, Note(self.written, self.written, self._removed))

    def give_up(self) -> None:
        """Remove what has been read, and what is going to be: nobody can go on."""
        if self._is_kept:
            self._is_kept = False
            self._ledger.write(self._place, Note(self.written, self.written, self._removed, ends=True))
            self._wake_at(1)
        self._take()

    def close(self) -> None:
        """Close the connection, which other processes have open as well."""
        self.pause()
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()

    def _read(self) -> None:
        try:
            if self._is_kept:
                data = self._client.recv(KEPT, socket.MSG_PEEK)[self._peeked :]
                self._peeked += len(data)
                is_over = not data and not is_open(self._client)
                if self._peeked == KEPT or not (data or is_over):  # the kernel has no room for more
                    self.give_up()
            else:
                data = self._client.recv(READ)
                self._removed += len(data)
                is_over = not data
        except BlockingIOError:
            return
        except OSError:
            data, is_over = b"", True
        if data:
            self._receive(data)
        elif is_over:
            self.pause()
            self._end()

    def _take(self) -> None:
        """Remove from the kernel what has been read."""
        try:
            while self._peeked and (size := len(self._client.recv(self._peeked))):
                self._peeked -= size
                self._removed += size
        except OSError:
            pass  # it is noticed when the connection is read or written

    def _wake_at(self, least: int) -> None:
        if least != self._least:
            self._least = least
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)
