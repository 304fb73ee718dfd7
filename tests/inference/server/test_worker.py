"""One worker in the test's process, which plays the supervisor."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from tests.inference.server.running import until
from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.inference.predictor import Predictor
from unroll.inference.server.dispatcher import Client, Desk
from unroll.inference.server.handover import Ledger
from unroll.inference.server.options import TOKEN, ServerOptions
from unroll.inference.server.supervisor import listen
from unroll.inference.server.worker import Worker


@dataclass
class Boss:
    """The supervisor's side: `messages` are what the worker has said."""

    control: socket.socket
    desk: Desk
    listener: socket.socket = field(init=False)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def send(self, model: Path, version: str, **others: Any) -> None:
        record = {"name": "tiny", "version": version, "folder": str(model)}
        self.control.sendall(json.dumps({"model": record, **others}).encode() + b"\n")

    def listen(self, stream: IO[str]) -> None:
        for message in map(json.loads, stream):
            if "closed" in message:
                list(map(self.desk.free, message["closed"]))
            else:
                self.messages.append(message)
            if "draining" in message:
                self.desk.channel.shutdown(socket.SHUT_RDWR)

    def ask(self, text: str, **headers: str) -> tuple[int, Any]:
        with contextlib.closing(http.client.HTTPConnection(*self.listener.getsockname())) as client:
            client.connect()
            assert self.desk.give(Client(self.listener.accept()[0]))
            client.request("POST", "/predict", json.dumps({"text": text}), headers)
            answer = client.getresponse()
            return answer.status, (answer.getheader("x-model-version"), json.loads(answer.read()))


@pytest.fixture
def boss() -> Iterator[tuple[Boss, Worker]]:
    ours, theirs = socket.socketpair()
    desk = Desk(100)
    boss = Boss(ours, desk)
    with ours, ours.makefile() as stream, listen("127.0.0.1", 0) as boss.listener:
        thread = threading.Thread(target=boss.listen, args=(stream,))
        thread.start()
        yield boss, Worker(theirs, desk.workers_channel, Ledger(desk.file.fileno()))
        theirs.close()
        desk.close_inherited()
        desk.close()
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)
        thread.join()


def first(boss: Boss, model: Path) -> None:
    boss.send(model, "1", options=asdict(ServerOptions()), logs_all=False)


def test_a_worker_serves_the_models_that_it_is_told_and_ends_with_its_supervisor(
    boss: tuple[Boss, Worker], reviews: PreparedData, tmp_path: Path
) -> None:
    there, worker = boss
    one, two = (save_random_model(reviews, tmp_path / str(seed), seed=seed) for seed in (1, 2))
    found: list[Any] = []

    def supervise() -> None:
        until(lambda: there.messages)
        found.append(there.ask("not good"))
        (tmp_path / "none").mkdir()
        there.send(tmp_path / "none", "3")
        until(lambda: len(there.messages) == 2)
        there.send(two, "2")
        until(lambda: len(there.messages) == 3)
        found.append(there.ask("not good"))
        there.control.shutdown(socket.SHUT_WR)  # as when the supervisor is killed

    first(there, one)
    thread = threading.Thread(target=supervise)
    thread.start()
    asyncio.run(worker.run())
    thread.join()

    assert [it.get("loaded") or it.get("failed") for it in there.messages[:3]] == ["1", "3", "2"]
    assert "config.json" in there.messages[1]["reason"]
    expected = [Predictor.load(it).predict(["not good"]) for it in (one, two)]
    for version, (status, (answered, content)), predictions in zip("12", found, expected, strict=True):
        assert (status, answered) == (200, version)
        assert content["predictions"][0]["label"] == predictions[0]["label"]
        assert content["predictions"][0]["probability"] == pytest.approx(predictions[0]["probability"], abs=1e-5)


def test_sigterm_is_told_to_the_supervisor_and_ends_the_worker(
    boss: tuple[Boss, Worker], reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, worker = boss
    monkeypatch.setenv(TOKEN, "a-secret-word")
    status: list[int] = []

    def terminate() -> None:
        until(lambda: there.messages)
        status.extend((there.ask("good")[0], there.ask("good", authorization="Bearer a-secret-word")[0]))
        os.kill(os.getpid(), signal.SIGTERM)

    first(there, save_random_model(reviews, tmp_path / "model"))
    thread = threading.Thread(target=terminate)
    thread.start()
    asyncio.run(worker.run())
    thread.join()

    assert status == [401, 200]
    until(lambda: {"draining": True} in there.messages)


def test_a_first_model_that_cannot_be_loaded_ends_the_worker_with_the_reason(
    boss: tuple[Boss, Worker], reviews: PreparedData, tmp_path: Path
) -> None:
    there, worker = boss
    model = save_random_model(reviews, tmp_path / "model")
    (model / "vocabulary.json").write_text("[]")
    first(there, model)

    asyncio.run(worker.run())

    until(lambda: there.messages)
    assert there.messages[0]["failed"] == "1"
    assert "vocabulary.json" in there.messages[0]["reason"] and "\n" not in there.messages[0]["reason"]
