"""Connections and the workers they are handed to; the test plays the workers."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.inference.server.test_handover import linux
from unroll.inference.server import dispatcher, inbox
from unroll.inference.server.dispatcher import MOST_DEATHS, PLACE, Client, Desk, Dispatcher
from unroll.inference.server.handover import Note
from unroll.inference.server.supervisor import listen


class Worker:
    """What a worker has been given."""

    def __init__(self, most: int = 10) -> None:
        self.desk = Desk(most)
        self.desk.workers_channel.setblocking(False)
        self.has_all = False

    def fetch(self) -> tuple[socket.socket, int] | None:
        """The next connection and its place."""
        try:
            place, descriptors, _, _ = socket.recv_fds(self.desk.workers_channel, PLACE.size, 1)
        except BlockingIOError:
            return None
        if not place:
            self.has_all = True
            return None
        return socket.socket(fileno=descriptors[0]), PLACE.unpack(place)[0]

    def fetch_all(self) -> list[tuple[socket.socket, int]]:
        return list(iter(self.fetch, None))


@contextmanager
def clients(listener: socket.socket, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(count)]


def dispatch(talk: Callable[[Dispatcher, socket.socket], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        with listen("127.0.0.1", 0) as listener:
            await talk(Dispatcher(listener), listener)

    asyncio.run(run())


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_the_worker_with_the_fewest_connections_gets_the_next_one() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        workers = [Worker() for _ in range(3)]
        for worker in workers:
            dispatcher.open(worker.desk)
        with clients(listener, 6):
            await until(lambda: sum(len(it.desk.clients) for it in workers) == 6)
        assert [len(it.fetch_all()) for it in workers] == [2, 2, 2]

    dispatch(talk)


def test_connections_wait_in_the_kernel_until_a_worker_is_ready_and_has_room() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        worker = Worker(most=1)  # twice as many that are new
        with clients(listener, 3):
            await asyncio.sleep(0.01)
            assert not worker.desk.clients
            dispatcher.open(worker.desk)
            await until(lambda: len(worker.desk.clients) == 2)
            (client, place), _ = worker.fetch_all()
            client.close()
            dispatcher.free(worker.desk, [place])
            await until(lambda: worker.fetch() is not None)

    dispatch(talk)


def test_connections_that_a_worker_is_slow_to_fetch_are_not_lost() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        worker = Worker(most=50)
        worker.desk.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # room for a few
        dispatcher.open(worker.desk)
        with clients(listener, 50):
            fetched = 0
            while fetched < 50:
                await asyncio.sleep(0.001)
                fetched += len(worker.fetch_all())

    dispatch(talk)


@linux
def test_connections_of_a_worker_that_has_ended_go_to_the_others_with_their_notes() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        first, second = Worker(), Worker()
        dispatcher.open(first.desk)
        with clients(listener, 2) as (one, _):
            await until(lambda: len(first.desk.clients) == 2)
            ours, place = first.fetch_all()[0]
            one.sendall(b"question")
            ours.sendall(b"answer")
            first.desk.ledger.write(place, Note(0, 6, 0, 1))
            ours.close()
            dispatcher.take_back(first.desk)
            dispatcher.open(second.desk)
            (ours, place), (_, other) = second.fetch_all()
            found = {second.desk.ledger.read(it) for it in (place, other)}
            assert found == {Note(6, 6, 0, 1), Note(0, 0, 0)}
            assert one.recv(100) == b"answer"

    dispatch(talk)


@linux
def test_a_request_that_kills_every_worker_is_given_up_and_others_are_not() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        with clients(listener, 2) as (poison, silent):
            poison.sendall(b"poison")
            for _ in range(MOST_DEATHS + 1):
                worker = Worker()
                dispatcher.open(worker.desk)
                await until(lambda worker=worker: len(worker.desk.clients) == 2)
                worker.desk.close_inherited()
                dispatcher.take_back(worker.desk)
            last = Worker()
            dispatcher.open(last.desk)
            [(left, _)] = last.fetch_all()
            assert left.getpeername() == silent.getsockname()
            with pytest.raises(ConnectionResetError):
                poison.recv(1)

    dispatch(talk)


@linux
def test_connections_that_others_have_had_do_not_make_a_worker_refuse_its_own() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        first, second, third = (Worker(most=2) for _ in range(3))
        dispatcher.open(first.desk)
        dispatcher.open(second.desk)
        with clients(listener, 4):
            await until(lambda: len(first.desk.clients) == len(second.desk.clients) == 2)
            dispatcher.take_back(first.desk)
            assert len(second.desk.clients) == 2
            dispatcher.open(third.desk)
            assert len(third.desk.clients) == 2

    dispatch(talk)


@linux
def test_at_the_end_too_connections_of_a_killed_worker_go_to_the_others() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        first, second = Worker(), Worker()
        dispatcher.open(first.desk)
        dispatcher.open(second.desk)
        with clients(listener, 2):
            await until(lambda: first.desk.clients and second.desk.clients)
            finishing = asyncio.create_task(dispatcher.finish(600))
            await asyncio.sleep(0)
            dispatcher.take_back(first.desk)
            assert len(second.desk.clients) == 2
            dispatcher.free(second.desk, list(second.desk.clients))
            await finishing

    dispatch(talk)


def test_where_the_system_does_not_count_only_connections_that_no_worker_has_begun_go_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (dispatcher, inbox):
        monkeypatch.setattr(module, "COUNTS_BYTES", False)

    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        first, second = Worker(), Worker()
        dispatcher.open(first.desk)
        with clients(listener, 2) as (begun, _):
            await until(lambda: len(first.desk.clients) == 2)
            ours, place = first.fetch_all()[0]
            inbox.Inbox(ours, first.desk.ledger, place).close()
            dispatcher.take_back(first.desk)
            dispatcher.open(second.desk)
            assert len(second.desk.clients) == 1
            assert begun.recv(1) == b""

    dispatch(talk)


def test_a_closed_desk_gets_no_more_and_its_worker_knows_when_it_has_all() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        first, second = Worker(), Worker()
        dispatcher.open(first.desk)
        with clients(listener, 1):
            await until(lambda: first.desk.clients)
        dispatcher.retire(first.desk)
        dispatcher.open(second.desk)
        with clients(listener, 1):
            await until(lambda: second.desk.clients)
        assert len(first.fetch_all()) == 1 and first.has_all
        assert not second.has_all

    dispatch(talk)


def test_at_the_end_all_that_the_kernel_has_accepted_is_handed_out() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        address = listener.getsockname()
        worker = Worker(most=50)
        worker.desk.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # room for a few
        dispatcher.open(worker.desk)
        with clients(listener, 50):  # this loop has not looked yet
            finishing = asyncio.create_task(dispatcher.finish(600))
            closed: list[int] = []
            while len(closed) < 50:
                await asyncio.sleep(0.001)
                for client, place in worker.fetch_all():
                    client.close()
                    closed.append(place)
                    dispatcher.free(worker.desk, [place])
            await finishing
            assert worker.fetch() is None and worker.has_all
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)

    dispatch(talk)


def test_the_end_does_not_wait_longer_than_it_was_told_for_a_worker_without_room() -> None:
    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        worker = Worker(most=1)
        dispatcher.open(worker.desk)
        with clients(listener, 3) as (*_, third):
            await dispatcher.finish(0.01)
            third.settimeout(60)
            assert third.recv(1) == b""

    dispatch(talk)


def test_a_system_without_files_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        """A listening socket of a process that may open no more files, once."""

        def __init__(self, listener: socket.socket) -> None:
            self.listener, self.fileno, self.errors = listener, listener.fileno, [OSError(24, "Too many open files")]

        def accept(self) -> tuple[socket.socket, Any]:
            if self.errors:
                raise self.errors.pop()
            return self.listener.accept()

    async def talk(dispatcher: Dispatcher, listener: socket.socket) -> None:
        worker, full = Worker(), Full(listener)
        dispatcher = Dispatcher(full)  # type: ignore[arg-type]
        dispatcher.open(worker.desk)
        with clients(listener, 1):
            await until(lambda: worker.desk.clients)
        assert "Too many open files" in caplog.text

    dispatch(talk)


def test_a_worker_that_has_been_killed_is_given_nothing() -> None:
    desk = Desk(1)
    desk.close_inherited()
    with listen("127.0.0.1", 0) as listener, clients(listener, 1):
        assert not desk.give(Client(listener.accept()[0]))
