"""What is known of a connection whose process was killed: real sockets, and a kill at every step."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.inference.server import handover
from unroll.inference.server.handover import COUNTS_BYTES, ByteCounts, Ledger, Note, byte_counts, is_open, rest_of
from unroll.inference.server.inbox import Inbox

REQUEST, ANSWER = b"q" * 10, b"a" * 7

linux = pytest.mark.skipif(not COUNTS_BYTES, reason="only Linux counts the bytes of connections")


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection: the client's and the server's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as ours,
    ):
        ours.setblocking(False)
        yield client, ours


def ledger(places: int) -> Ledger:
    with Ledger.new_file(places) as file:
        return Ledger(file.fileno())


notes = st.builds(Note, *[st.integers(0, 2**60)] * 3, st.integers(0, 2**31), st.booleans())


@given(st.lists(st.tuples(st.integers(0, 4), notes)))
def test_a_ledger_keeps_the_last_note_of_each_place(written: list[tuple[int, Note]]) -> None:
    book, expected = ledger(5), dict.fromkeys(range(5), Note(0, 0, 0))
    for place, note in written:
        book.write(place, note)
        expected[place] = note
    assert {place: book.read(place) for place in range(5)} == expected


def test_a_note_that_is_written_in_part_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    class Torn:
        """Writes half of a note."""

        size, unpack_from = Ledger._NOTE.size, Ledger._NOTE.unpack_from

        def pack_into(self, memory: bytearray, start: int, *values: int) -> None:
            memory[start : start + 9] = b"\xff" * 9
            raise Killed

    book, note = ledger(1), Note(1, 2, 3, 4)
    book.write(0, note)
    monkeypatch.setattr(Ledger, "_NOTE", Torn())
    with pytest.raises(Killed):
        book.write(0, Note(5, 6, 7))
    assert book.read(0) == note


@linux
def test_the_kernel_counts_the_bytes_of_a_connection() -> None:
    with connected() as (client, ours):
        assert byte_counts(ours) == ByteCounts(0, 0, 0) and is_open(ours)
        client.sendall(bytes(1000))
        ours.recv(300)
        ours.recv(500, socket.MSG_PEEK)
        ours.sendall(bytes(50_000))
        assert byte_counts(ours) == ByteCounts(50_000, 300, 700)
        client.shutdown(socket.SHUT_WR)
        while is_open(ours):
            pass
        assert byte_counts(ours) == ByteCounts(50_000, 300, 700)
        ours.shutdown(socket.SHUT_RDWR)
        assert byte_counts(ours) is None


@linux
def test_a_kernel_that_counts_nothing_makes_nobody_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "_info", lambda client: (handover.ESTABLISHED, 0, 0))
    with connected() as (client, ours):
        client.sendall(REQUEST)
        while not ours.recv(1, socket.MSG_PEEK):
            pass
        assert byte_counts(ours) is None


@pytest.mark.parametrize(
    ("last", "written", "removed", "expected"),
    [
        (Note(0, 0, 0), 0, 0, Note(0, 0, 0)),  # nothing has been answered
        (Note(0, 7, 0, 1), 0, 0, Note(0, 0, 0)),  # killed before it sent the answer
        (Note(0, 7, 0, 1), 7, 0, Note(7, 7, 0, 1)),  # after it
        (Note(0, 7, 0, 1), 7, 10, Note(7, 7, 10)),  # after it removed the request
        (Note(7, 14, 0, 2), 14, 0, Note(14, 14, 0, 2)),  # the second one of two requests
        (Note(7, 14, 0, 2), 7, 0, Note(7, 7, 0, 1)),
        (Note(0, 7, 0, 1), 32, 10, Note(32, 32, 10)),  # and something that is no answer was sent
        (Note(0, 7, 0, 1), 3, 0, None),  # a part of the answer
        (Note(0, 7, 0, 1), 0, 10, None),  # nothing of it, but the request was removed
        (Note(7, 7, 10, 0, ends=True), 7, 10, None),  # it was removed before it was answered
        (Note(7, 14, 0, 2), 3, 0, None),
        (Note(0, 7, 0, 1, ends=True), 7, 0, None),
        (Note(0, 7, 0, 1, ends=True), 0, 0, Note(0, 0, 0)),
    ],
)
def test_another_process_goes_on_behind_the_last_answer(
    last: Note, written: int, removed: int, expected: Note | None
) -> None:
    assert rest_of(last, ByteCounts(written, removed, unread=10)) == expected


@linux
@given(batches=st.lists(st.integers(1, 3), min_size=1, max_size=4), steps=st.integers(0, 30))
def test_every_request_is_answered_once_wherever_the_first_process_is_killed(batches: list[int], steps: int) -> None:
    """`batches` are numbers of requests that arrive together; the process does one thing in each step."""
    asyncio.run(_killed(batches, steps))


async def _killed(batches: list[int], steps: int) -> None:
    with connected() as (client, ours):
        book = ledger(1)
        inbox = Inbox(ours.dup(), book, 0)
        inbox.open(lambda data: None, lambda: None)
        inbox.pause()
        sent = answered = 0
        for count in batches:
            client.sendall(REQUEST * count)
            sent += count
            while (counts := byte_counts(ours)) is None or counts.unread < count * len(REQUEST):
                await asyncio.sleep(0)
            inbox._read()
            actions = [it for _ in range(count) for it in ("note", "send")] + ["remove"]
            for action in actions[: max(0, steps)]:
                if action == "note":
                    inbox.answers(len(ANSWER), ends=False)
                elif action == "send":
                    ours.sendall(ANSWER)
                    answered += 1
                else:
                    inbox.remove()
            steps -= len(actions)
            if steps <= 0:
                break
        found = byte_counts(ours)
        assert found is not None
        note = rest_of(book.read(0), found)
        assert note is not None
        assert found.unread // len(REQUEST) - note.answered == sent - answered
        assert note.after == answered * len(ANSWER)
        inbox.close()
