"""What clients do to connections: wrong, slow, silent, gone, and open while the server stops."""

import asyncio
import contextlib
import itertools
import json
import select
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inference.server.running import Lengths, Running, in_thread, running, until
from unroll.inference.server import connections, inbox
from unroll.inference.server.http import Answer, Call
from unroll.inference.server.inbox import Inbox
from unroll.inference.server.incoming import MAX_HEADER, PIECE
from unroll.inference.server.options import ServerOptions

HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = b'{"text": "a"}'
REQUEST = HEAD + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
LAST = REQUEST.replace(b"host", b"connection: close\r\nhost")
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(Lengths(), tmp_path / "m", max_body=1000) as it:
        yield it


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Running]:
    """A server that waits for a tenth of a second."""
    with running(Lengths(), tmp_path / "m", timeout=0.1) as it:
        yield it


def status(answer: bytes) -> int:
    return int(answer.split()[1]) if answer else 0


def error(answer: bytes) -> str:
    reason: str = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert "\n" not in reason
    return reason


def read(connection: socket.socket) -> bytes:
    """One answer, whose connection may stay open."""
    with connection.makefile("rb") as file:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = file.readline()
            if not line:
                return head
            head += line
        length = next((int(it.split(b":")[1]) for it in head.split(b"\r\n") if it.startswith(b"content-length")), 0)
        return head + file.read(length)


@pytest.mark.parametrize(
    ("data", "expected", "reason"),
    [
        (b"\x16\x03\x01\x02\r\n\r\n", 400, "not a valid HTTP request: Invalid method"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "not a valid HTTP request: no Host header"),
        (HEAD + b"content-length: -1\r\n\r\n", 400, "not a valid HTTP request: Invalid character in Content"),
        (HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", 400, "not a valid HTTP request: Duplicate"),
        (
            HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
            400,
            "not a valid HTTP request: Invalid character",
        ),
        (HEAD + b"x: " + b"a" * 2 * MAX_HEADER, 431, f"the header is longer than {MAX_HEADER} bytes"),
        (HEAD + b"x: y\r\n" * MAX_HEADER + b"\r\n", 431, f"the header is longer than {MAX_HEADER} bytes"),
        (b"GET /" + b"a" * MAX_HEADER + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431, "the header is longer than"),
    ],
)
def test_what_is_not_http_is_refused_with_a_reason(server: Running, data: bytes, expected: int, reason: str) -> None:
    answer = server.send(data)

    assert status(answer) == expected
    assert error(answer).startswith(reason)


def test_an_answer_is_sent_in_one_piece(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def connection_made(self: connections.Connection, transport: asyncio.Transport) -> None:
        write = transport.write
        transport.write = lambda data: (written.append(bytes(data)), write(data))[1]  # type: ignore[method-assign]
        original(self, transport)

    original = connections.Connection.connection_made
    monkeypatch.setattr(connections.Connection, "connection_made", connection_made)
    with server.connect() as connection:
        connection.sendall(REQUEST)
        answer = read(connection)
    assert [it for it in written if it] == [answer]


def test_requests_that_are_sent_without_waiting_are_answered_in_their_order(tmp_path: Path) -> None:
    model = Lengths()
    with running(model, tmp_path / "m") as server:
        model.gate.clear()
        received = in_thread(lambda: server.send(REQUEST + HEALTH * 2000 + LAST))
        model.entered.wait()
        model.gate.set()
        bodies = [it.rpartition(b"\r\n")[2][:5] for it in received().split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b'{"pre', *[b'{"sta'] * 2000, b'{"pre']


class Box(Inbox):
    """Keeps whether the connection is read, and how many requests have been answered."""

    def __init__(self, others: int, written: int) -> None:
        self.answered, self.written, self.is_read, self.is_empty = others, written, False, False

    def open(self, receive: Any, end: Any) -> None:
        self.resume()

    def resume(self, missing: int = 0) -> None:
        self.is_read = True

    def pause(self) -> None:
        self.is_read = False

    def answers(self, size: int, ends: bool) -> None:
        self.is_empty = False

    def remove(self) -> None:
        self.is_empty = True


class Transport(asyncio.Transport):
    """Counts the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.answers, self.is_closed = 0, False

    def write(self, data: Any) -> None:
        self.answers += 1

    def pause_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


def connected(
    answer: Callable[[Call], Awaitable[Answer]], others: int = 0, written: int = 0
) -> tuple[Transport, Box, connections.Connection]:
    transport, box = Transport(), Box(others, written)
    connection = connections.Connection(connections.Shared(answer, ServerOptions()), box)
    connection.connection_made(transport)
    return transport, box, connection


def test_a_client_is_not_read_while_its_requests_wait_and_nothing_is_kept_behind_its_last_one() -> None:
    async def talk(answers: int, *received: bytes) -> tuple[bool, int, int]:
        """Whether the client is read, and what is kept, before the first answer."""
        may_answer = asyncio.Event()

        async def answer(call: Call) -> Answer:
            await may_answer.wait()
            return Answer(200, b"")

        transport, box, connection = connected(answer)
        for data in received:
            connection.data_received(data)
        found = box.is_read, len(connection._parser.requests), len(connection._rest)
        may_answer.set()
        while transport.answers < answers:
            await asyncio.sleep(0)
        assert box.is_empty and (transport.is_closed or (box.is_read and not connection._rest))
        return found

    data = HEALTH * 500  # longer than a piece
    is_read, requests, rest = asyncio.run(talk(501, REQUEST + data))
    assert not is_read and requests <= PIECE // len(HEALTH) and rest > len(data) - PIECE
    assert asyncio.run(talk(1, LAST + data, data, data)) == (True, 0, 0)


def test_requests_that_another_process_has_answered_are_not_answered_again() -> None:
    async def talk(others: int, *received: bytes) -> list[str]:
        answered = []

        async def answer(call: Call) -> Answer:
            answered.append(call.path)
            return Answer(200, b"")

        transport, box, connection = connected(answer, others)
        for data in received:
            connection.data_received(data)
        while not box.is_empty:
            await asyncio.sleep(0)
        assert transport.answers == len(answered)
        return answered

    long = HEAD + b"content-length: %d\r\n\r\n" % (2 * PIECE) + bytes(2 * PIECE)
    assert asyncio.run(talk(0, REQUEST + HEALTH)) == ["/predict", "/health"]
    assert asyncio.run(talk(1, REQUEST + HEALTH)) == ["/health"]
    assert asyncio.run(talk(2, REQUEST + long + HEALTH)) == ["/health"]
    assert asyncio.run(talk(1, long[:PIECE], long[PIECE:] + HEALTH)) == ["/health"]
    assert asyncio.run(talk(1, REQUEST)) == []


def test_what_was_received_is_not_kept_when_it_is_read() -> None:
    async def answer(call: Call) -> Answer:
        await call.read()
        return Answer(200, b"")

    async def talk() -> object:
        connection = connected(answer)[2]
        connection.data_received(HEAD + b"content-length: 100000\r\n\r\n" + bytes(50_000))
        return connection._rest.obj  # what the view was cut from

    assert asyncio.run(talk()) == b""


def test_requests_of_a_client_that_does_not_read_wait_for_it() -> None:
    async def talk() -> int:
        async def answer(call: Call) -> Answer:
            return Answer(200, b"")

        transport, _, connection = connected(answer)
        connection.pause_writing()
        connection.data_received(HEALTH * 3)
        await asyncio.sleep(0)
        before = transport.answers
        connection.resume_writing()
        while transport.answers < 3:
            await asyncio.sleep(0)
        return before

    assert asyncio.run(talk()) == 0


def test_what_is_wrong_behind_a_request_is_refused_after_its_answer(server: Running) -> None:
    answers = server.send(REQUEST + b"nonsense\r\n\r\n")

    assert answers.startswith(b"HTTP/1.1 200") and answers.count(b"HTTP/1.1 400 Bad Request") == 1


@pytest.mark.parametrize("last", [LAST, HEALTH.replace(b"1.1", b"1.0")])
def test_nothing_is_read_behind_the_last_request_of_a_connection(server: Running, last: bytes) -> None:
    answers = server.send(HEALTH + last + REQUEST + b"nonsense")

    assert answers.count(b"HTTP/1.1 200") == answers.count(b"HTTP/1.1") == 2
    assert answers.count(b"connection: close") == 1


def test_the_answer_to_head_has_no_body(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(HEALTH.replace(b"GET", b"HEAD") + HEALTH)
        received = b""
        while not received.endswith(b"}"):
            received += connection.recv(65536)
    head, _, second = received.partition(b"\r\n\r\n")
    assert b"content-length: 18" in head and second.startswith(b"HTTP/1.1 200")


def test_an_offer_of_another_protocol_is_answered_in_this_one(server: Running) -> None:
    offer = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhost"

    answers = [server.send(it.replace(b"host", offer)) for it in (REQUEST, HEALTH)]

    assert [status(it) for it in answers] == [200, 200]
    assert b"predictions" in answers[0]


def test_a_whole_address_is_taken_for_its_path(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(HEALTH.replace(b"/health", b"http://x:1/he%61lth?now"))
        assert status(read(connection)) == 200


def test_an_idle_connection_is_closed_after_a_while(tmp_path: Path) -> None:
    with running(Lengths(), tmp_path / "m", keep_alive=0.01) as server, server.connect() as connection:
        connection.sendall(REQUEST)
        assert status(read(connection)) == 200
        assert connection.recv(1) == b""


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"content-length: 1000000000\r\n\r\n")
        answer = read(connection)

    assert (status(answer), error(answer)) == (413, "the body is too large; accepted: at most 1000 bytes")


def test_a_client_that_sends_a_large_body_and_no_other_request_can_read_why_it_is_refused(server: Running) -> None:
    head = HEAD + b"connection: close\r\ncontent-length: 5000000\r\n\r\n"

    assert status(server.send(head + bytes(5_000_000))) == 413


def test_a_client_that_sends_all_of_a_large_body_first_gets_the_answer_and_may_go_on(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"content-length: 5000000\r\n\r\n" + bytes(5_000_000))
        assert status(read(connection)) == 413
        connection.sendall(REQUEST)
        assert status(read(connection)) == 200


def test_chunks_without_a_length_are_counted(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n" + (b"200\r\n" + bytes(512) + b"\r\n") * 4)
        answer = read(connection)

    assert (status(answer), error(answer)) == (413, "the body is too large; accepted: at most 1000 bytes")


def test_chunks_make_a_body(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\n")
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY) - 5, BODY[5:]))
        assert status(read(connection)) == 200


def test_a_client_that_asks_before_it_sends_is_told_to_go_on_or_refused(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
        assert status(read(connection)) == 100
        connection.sendall(BODY)
        assert status(read(connection)) == 200
        connection.sendall(HEAD + b"expect: 100-continue\r\ncontent-length: 5000\r\n\r\n")
        refused = read(connection)
    assert status(refused) == 413 and b"connection: close" in refused  # nobody knows what it sends next


def test_large_bodies_share_a_limited_memory(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unroll.inference.server import app

    monkeypatch.setattr(app, "SMALL_BODY", 10)
    monkeypatch.setattr(app, "LARGE_BODIES", 1000)
    monkeypatch.setattr(inbox, "KEPT", 600)  # others are read when they are complete
    with server.connect() as first, server.connect() as second:
        first.sendall(HEAD + b"content-length: 900\r\n\r\n" + bytes(600))
        until(lambda: server.service.large_bodies >= 600)  # it is read
        second.sendall(HEAD + b"content-length: 900\r\n\r\n" + bytes(600))
        assert status(read(second)) == 503
        assert server.ask({"text": "a"})[0] == 200
    until(lambda: not server.service.large_bodies)  # until it has seen that the clients have gone


@pytest.mark.parametrize("data", [HEAD, HEAD[:9], HEAD + b"content-length: 99\r\n\r\n{", REQUEST + HEAD])
def test_a_request_that_is_never_completed_is_answered_in_time(hurried: Running, data: bytes) -> None:
    answer = hurried.send(data)

    assert b"HTTP/1.1 408" in answer
    assert answer.endswith(b'{"error":"no complete request within 0.1 s"}')


def test_a_client_that_sends_byte_by_byte_has_no_more_time(hurried: Running) -> None:
    with hurried.connect() as connection, contextlib.suppress(ConnectionError):
        connection.settimeout(0.01)
        received = b""
        for byte in itertools.chain(HEAD, itertools.repeat(ord("a"))):
            if received:
                break
            connection.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                received = connection.recv(65536)

    assert status(received) == 408


def test_a_silent_connection_is_closed(hurried: Running) -> None:
    assert hurried.send(b"") == b""


def test_a_client_that_does_not_read_its_answer_is_given_up(hurried: Running) -> None:
    hurried.service.loaded.openapi = bytes(100_000_000)  # type: ignore[union-attr]
    with hurried.connect() as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
        until(lambda: b'path="/openapi.json"' in hurried.service.metrics.page())  # it is answered
        until(lambda: not hurried.server.connections)
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 20):
                received += len(part)
    assert received < 100_000_000


def test_others_are_served_beside_slow_and_silent_clients(server: Running) -> None:
    with contextlib.ExitStack() as stack:
        for data in [b"", HEAD, HEAD + b"content-length: 99\r\n\r\n{"] * 20:
            stack.enter_context(server.connect()).sendall(data)
        assert server.ask({"text": "a"})[0] == 200


def test_with_too_many_connections_the_longest_silent_one_makes_room(tmp_path: Path) -> None:
    with (
        running(Lengths(), tmp_path / "m", max_connections=2) as server,
        server.connect() as used,
        server.connect() as silent,
    ):
        used.sendall(REQUEST)
        assert status(read(used)) == 200
        assert server.ask({"text": "a"})[0] == 200
        with contextlib.suppress(ConnectionError):
            assert silent.recv(1) == b""
        used.sendall(REQUEST)
        assert status(read(used)) == 200


def test_many_connections_at_once_are_not_more_than_there_may_be(tmp_path: Path) -> None:
    with running(Lengths(), tmp_path / "m", max_connections=5) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(10)]
        until(lambda: len(closed(clients)) == 5)
        assert len(server.server.connections) == 5


def closed(clients: list[socket.socket]) -> list[socket.socket]:
    """Those that the server has closed."""
    ready, _, _ = select.select(clients, [], [], 0)
    return ready


def test_a_connection_that_another_process_has_begun_may_be_idle_as_long_as_others() -> None:
    async def talk() -> bool:
        async def answer(call: Call) -> Answer:
            return Answer(200, b"")

        transport, _, connection = connected(answer, written=7)
        connection.check(time.monotonic())
        connection.check(time.monotonic() + 1.5 * ServerOptions().timeout)
        return transport.is_closed

    assert not asyncio.run(talk())


def test_with_too_many_busy_connections_a_new_one_is_told_to_come_again(tmp_path: Path) -> None:
    model = Lengths()
    with running(model, tmp_path / "m", max_connections=1) as server:
        model.gate.clear()
        first = in_thread(lambda: server.ask({"text": "a"}))
        model.entered.wait()
        code, content, headers = server.ask({"text": "b"})
        assert (code, content["error"], headers["retry-after"]) == (503, "1 connections are open", "1")
        model.gate.set()
        assert first()[0] == 200


def test_the_texts_of_a_client_that_hangs_up_are_dropped(tmp_path: Path) -> None:
    model = Lengths()
    with running(model, tmp_path / "m") as server:
        model.gate.clear()
        first = in_thread(lambda: server.ask({"text": "a"}))
        model.entered.wait()
        with server.connect() as gone:
            gone.sendall(HEAD + b'content-length: 16\r\n\r\n{"text": "gone"}')
            until(lambda: server.service.batcher.queued >= 2)  # it waits
        until(lambda: server.service.batcher.queued < 2)  # it has been noticed
        model.gate.set()
        assert first()[0] == 200
    assert model.batches == [["a"]]


def test_a_stopping_server_answers_all_that_it_has_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Lengths()
    with running(model, tmp_path / "m", batch_texts=2) as server:
        model.gate.clear()
        asked = [in_thread(lambda: server.ask({"text": "a"})) for _ in range(9)]
        model.entered.wait()
        until(lambda: server.service.batcher.queued >= 9)
        server.stop()
        until(lambda: server.server.is_draining)
        model.gate.set()
        assert [it()[0] for it in asked] == [200] * 9
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_a_stopping_server_answers_requests_that_were_sent_without_waiting(tmp_path: Path) -> None:
    model = Lengths()
    with running(model, tmp_path / "m") as server:
        model.gate.clear()
        received = in_thread(lambda: server.send(REQUEST * 200))
        model.entered.wait()
        server.stop()
        until(lambda: server.server.is_draining)
        model.gate.set()
        answers = received()
    assert answers.count(b"HTTP/1.1 200") == 200
    assert answers.count(b"connection: close") == 1


def test_a_stopping_server_accepts_what_the_kernel_has_accepted(tmp_path: Path) -> None:
    model = Lengths()
    with running(model, tmp_path / "m") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(50)]
        for client in clients:
            client.sendall(REQUEST)
        server.stop()
        assert {status(read(it)) for it in clients} == {200}


def test_an_open_connection_may_ask_once_more_when_the_server_stops_and_is_told_that_it_closes(tmp_path: Path) -> None:
    with running(Lengths(), tmp_path / "m") as server, server.connect() as connection:
        connection.sendall(REQUEST)
        assert b"connection: close" not in read(connection)
        server.stop()
        until(lambda: server.server.is_draining)
        connection.sendall(REQUEST)
        answer = read(connection)
        assert status(answer) == 200 and b"connection: close" in answer
        assert connection.recv(1) == b""


def test_idle_connections_do_not_hold_a_stopping_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unroll.inference.server.server.IDLE_AT_END", 0.01)
    with running(Lengths(), tmp_path / "m") as server, server.connect() as silent, server.connect() as used:
        used.sendall(REQUEST)
        read(used)
        server.stop()
        server.thread.join()
        assert silent.recv(1) == used.recv(1) == b""


def test_a_stopping_server_does_not_wait_longer_than_it_was_told(tmp_path: Path) -> None:
    model = Lengths()
    with running(model, tmp_path / "m", drain=0.05) as server, server.connect() as connection:
        model.gate.clear()
        connection.sendall(REQUEST)
        model.entered.wait()
        server.stop()
        server.thread.join()
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
        model.gate.set()
