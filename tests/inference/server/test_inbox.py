"""What is read of a client stays in the kernel until it is answered."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.inference.server.test_handover import connected, ledger, linux
from unroll.inference.server import inbox
from unroll.inference.server.handover import Ledger, Note, byte_counts, rest_of
from unroll.inference.server.inbox import KEPT, Inbox


@dataclass
class Reader:
    """An inbox that is read; `data` is what it has received."""

    client: socket.socket
    ours: socket.socket
    book: Ledger = field(default_factory=lambda: ledger(1))
    data: bytes = b""
    wakes: int = 0
    is_over: bool = False

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.ours.dup(), self.book, 0)
        self.reads, look = 0, self.inbox._read

        def count() -> None:
            self.reads += 1
            look()

        self.inbox._read = count  # type: ignore[method-assign]
        self.inbox.open(self.receive, self.end)

    def receive(self, data: bytes) -> None:
        self.data += data
        self.wakes += 1
        self.inbox.resume()

    def end(self) -> None:
        self.is_over = True

    def unread(self) -> int:
        counts = byte_counts(self.ours)
        assert counts is not None
        return counts.unread

    def rest(self) -> Note | None:
        """With what another process would go on."""
        counts = byte_counts(self.ours)
        assert counts is not None
        return rest_of(self.book.read(0), counts)

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            await asyncio.sleep(0.001)


def read(talk: Callable[[Reader], Any]) -> None:
    async def run() -> None:
        with connected() as (client, ours):
            reader = Reader(client, ours)
            await talk(reader)
            reader.inbox.close()

    asyncio.run(run())


@linux
def test_what_is_read_stays_in_the_kernel_until_it_is_answered() -> None:
    async def talk(it: Reader) -> None:
        for part in (b"one", b"two"):
            it.client.sendall(part)
            await it.until(lambda part=part: it.data.endswith(part))
        assert it.data == b"onetwo" and it.unread() == 6
        it.client.sendall(b"three")
        it.inbox.remove()
        it.inbox.resume()
        await it.until(lambda: it.data.endswith(b"three"))
        assert it.data == b"onetwothree" and it.unread() == 5

    read(talk)


@linux
def test_what_has_been_read_does_not_wake_the_process_again() -> None:
    async def talk(it: Reader) -> None:
        it.client.sendall(b"one")
        await it.until(lambda: it.data)
        before = it.reads
        for _ in range(50):
            await asyncio.sleep(0)
        assert it.reads == before

    read(talk)


@linux
def test_a_process_is_not_woken_before_the_rest_of_a_request_is_there() -> None:
    async def talk(it: Reader) -> None:
        it.inbox.resume(missing=1000)
        for _ in range(10):
            it.client.sendall(bytes(100))
            await asyncio.sleep(0.001)
        await it.until(lambda: len(it.data) == 1000)
        assert it.wakes == 1

    read(talk)


@linux
def test_more_than_the_kernel_is_to_keep_is_read_as_usual_and_ends_with_the_process() -> None:
    async def talk(it: Reader) -> None:
        sending = asyncio.create_task(asyncio.to_thread(it.client.sendall, bytes(5 * KEPT)))
        await it.until(lambda: len(it.data) == 5 * KEPT)
        await sending
        assert it.unread() == 0 and it.rest() is None
        it.inbox.answers(7, ends=False)
        assert it.rest() is None  # also before the answer is sent
        it.ours.sendall(bytes(7))
        assert it.rest() is None
        it.inbox.remove()  # all of it has been answered
        it.inbox.resume()
        assert it.rest() == Note(7, 7, 5 * KEPT)
        it.client.sendall(b"next")
        await it.until(lambda: it.data.endswith(b"next"))
        assert it.unread() == 4

    read(talk)


@linux
def test_a_kernel_without_room_is_read_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inbox, "_wake_at", lambda self, least: None)  # it says that there is something to read

    async def talk(it: Reader) -> None:
        it.client.sendall(b"one")
        await it.until(lambda: not it.unread())
        assert it.data == b"one" and it.rest() is None

    read(talk)


def test_a_client_that_closes_the_connection_is_noticed_while_it_waits_for_an_answer() -> None:
    async def talk(it: Reader) -> None:
        it.client.sendall(b"one")
        await it.until(lambda: it.data)
        assert not it.is_over
        it.client.close()
        await it.until(lambda: it.is_over)

    read(talk)


def test_where_the_system_counts_nothing_all_is_read_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "COUNTS_BYTES", False)

    async def talk(it: Reader) -> None:
        it.client.sendall(b"one")
        await it.until(lambda: it.data == b"one")
        it.inbox.remove()
        it.inbox.resume()
        it.client.sendall(b"two")
        await it.until(lambda: it.data == b"onetwo")
        it.client.close()
        await it.until(lambda: it.is_over)

    read(talk)


def test_the_other_process_of_a_closed_connection_need_not_close_it_for_the_client_to_know() -> None:
    async def talk(it: Reader) -> None:
        it.inbox.close()
        it.client.settimeout(60)
        assert it.client.recv(1) == b""

    read(talk)
