"""The supervisor with workers that are quick to start; with real ones it is run in test_command.py."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from tests.inference.server.running import FACTS, until
from tests.inference.server.test_handover import linux
from unroll.files import delete, write_checksums
from unroll.inference.server.options import ServerOptions
from unroll.inference.server.source import FolderSource
from unroll.inference.server.supervisor import _with_files, listen

FAKE_WORKER = (sys.executable, "-IS", str(Path(__file__).with_name("fake_worker.py")))
BLOCKING_WORKER = (sys.executable, "-m", "tests.inference.server.blocking_worker")
SCRIPT = """
import json, sys
from unroll import cli
from unroll.inference.server import supervisor

supervisor.WORKER = json.loads(sys.argv.pop(1))
cli.main()
"""


@dataclass
class Supervised:
    """A supervisor that runs."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path

    def ask(self) -> tuple[int, str]:
        """The process and the version of the worker that answers."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            number, version = connection.makefile().read().split()
            return int(number), version

    def workers(self) -> set[int]:
        return {it.pid for it in psutil.Process(self.process.pid).children()}

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait()


def start(model: Path, *options: str, worker: Sequence[str] = FAKE_WORKER) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, json.dumps(worker), "serve", str(model), "--port=0", *options]
    log = model.parent / "log"
    environment = os.environ | {"TMPDIR": str(model.parent / "tmp")}
    (model.parent / "tmp").mkdir(exist_ok=True)
    with log.open("w") as stream:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, text=True, env=environment)


@contextlib.contextmanager
def supervised(model: Path, *options: str, worker: Sequence[str] = FAKE_WORKER) -> Iterator[Supervised]:
    with start(model, *options, worker=worker) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"serving .+ at http://127\.0\.0\.1:(\d+) \(pid (\d+)\)", process.stdout.readline())
            assert found and int(found[2]) == process.pid
            yield Supervised(process, int(found[1]), model.parent / "log")
        finally:
            process.kill()


def write(model: Path, content: str = "{}") -> Path:
    """Write a model folder as a training does: whole."""
    delete(model)
    model.mkdir(parents=True)
    (model / "config.json").write_text(content)
    write_checksums(model)
    return model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model")


def test_a_killed_worker_is_replaced(model: Path) -> None:
    with supervised(model, "--workers=2") as server:
        before = server.workers()
        killed, version = server.ask()
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(server.workers() - {killed}) == 2)
        assert killed in before and len(server.workers() & before) == 1
        assert server.ask()[1] == version
        assert f"worker {killed} ended with status -9 and is replaced" in server.log.read_text()


@linux
@pytest.mark.parametrize("workers", [1, 2])
def test_requests_of_killed_workers_are_answered_by_others(tmp_path: Path, workers: int) -> None:
    wait = tmp_path / "wait"
    model = write(tmp_path / "model", json.dumps(FACTS | {"wait": str(wait)}))
    with (
        supervised(model, f"--workers={workers}", worker=BLOCKING_WORKER) as server,
        contextlib.ExitStack() as stack,
    ):
        clients = {
            str(number): stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port)))
            for number in range(6)
        }
        for name, client in clients.items():
            send(client, f"{name}-before")
            assert receive(client) == (200, f"{name}-before")
        wait.touch()
        for name, client in clients.items():
            send(client, f"{name}-meanwhile")
        killed = server.workers()
        for process in killed:
            os.kill(process, signal.SIGKILL)
        wait.unlink()
        for name, client in clients.items():
            assert receive(client) == (200, f"{name}-meanwhile")
            send(client, f"{name}-after")
            assert receive(client) == (200, f"{name}-after")
        assert not server.workers() & killed


def send(client: http.client.HTTPConnection, name: str) -> None:
    client.request("POST", "/predict", '{"text": "a"}', {"x-request-id": name})


def receive(client: http.client.HTTPConnection) -> tuple[int, str | None]:
    """Status and name of the request that is answered."""
    answer = client.getresponse()
    answer.read()
    return answer.status, answer.getheader("x-request-id")


def test_a_worker_that_ends_before_it_has_the_model_is_replaced_too(tmp_path: Path) -> None:
    once = tmp_path / "once"
    with supervised(write(tmp_path / "model", json.dumps({"once": str(once)}))) as server:
        killed, version = server.ask()
        once.touch()
        os.kill(killed, signal.SIGKILL)
        assert server.ask()[1] == version
        assert not once.exists() and "ended with status 3" in server.log.read_text()


def test_a_worker_that_cannot_be_started_is_tried_again(model: Path) -> None:
    interpreter, away = model.parent / "python", model.parent / "away"
    interpreter.symlink_to(sys.executable)
    with supervised(model, worker=(str(interpreter), *FAKE_WORKER[1:])) as server:
        killed = server.ask()[0]
        interpreter.rename(away)
        os.kill(killed, signal.SIGKILL)
        until(lambda: "no worker can be started, which is tried again after 0.2 s" in server.log.read_text())
        away.rename(interpreter)
        assert server.ask()[0] != killed


def test_a_worker_that_is_asked_to_stop_is_replaced(model: Path) -> None:
    with supervised(model) as server:
        first = server.ask()[0]
        os.kill(first, signal.SIGTERM)
        assert server.ask()[0] != first


def test_another_model_in_the_folder_is_served_by_all_workers_and_new_ones(model: Path) -> None:
    with supervised(model, "--workers=2", "--poll=0.01") as server:
        before, old = server.workers(), server.ask()[1]
        write(model, '{"other": 1}')
        until(lambda: server.log.read_text().count("serves version") == 4)
        assert server.workers() == before and server.ask()[1] != old
        for number in before:
            os.kill(number, signal.SIGKILL)
        number, version = server.ask()
        assert number not in before and version != old


def test_sighup_looks_at_the_folder_at_once(model: Path) -> None:
    with supervised(model, "--poll=9999") as server:
        old = server.ask()[1]
        write(model, '{"other": 1}')
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.ask()[1] != old)


@pytest.mark.parametrize("content", ["bad", "crash"])
def test_a_model_that_cannot_be_loaded_does_not_replace_the_one_that_is_served(model: Path, content: str) -> None:
    with supervised(model, "--poll=0.01") as server:
        old = server.ask()[1]
        write(model, content)
        until(lambda: re.search("cannot load version|ended with status 3", server.log.read_text()))
        assert server.ask()[1] == old
        write(model, '{"other": 1}')
        until(lambda: server.ask()[1] != old)


def test_after_several_models_that_cannot_be_loaded_new_workers_still_get_the_one_that_is_served(model: Path) -> None:
    with supervised(model, "--poll=0.01") as server:
        number, version = server.ask()
        for content in ("bad 1", "bad 2", "bad 3"):
            write(model, content)
            bad = FolderSource(model).version()
            until(lambda bad=bad: f"cannot load version {bad}" in server.log.read_text())
        os.kill(number, signal.SIGKILL)
        other, served = server.ask()
        assert other != number and served == version
        assert len(list((model.parent / "tmp").glob("*/[0-9]*"))) == 2  # the served one and the last one


def test_a_damaged_or_missing_folder_changes_nothing_and_is_logged_once(model: Path) -> None:
    with supervised(model, "--poll=0.01") as server:
        old = server.ask()[1]
        (model / "sha256.json").write_text('{"config.json": "damaged"}')
        until(lambda: "sha256.json changed while it was copied" in server.log.read_text())
        delete(model)
        until(lambda: "no trained model in this folder any more" in server.log.read_text())
        assert server.ask()[1] == old
        write(model, '{"other": 1}')
        until(lambda: server.ask()[1] != old)
        assert server.log.read_text().count("changed while it was copied") == 1


def test_sigterm_and_ctrl_c_end_all_processes_and_leave_no_files(model: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with supervised(model, "--workers=2") as server:
            workers = server.workers()
            server.process.send_signal(number)
            assert server.process.wait() == 0
            assert not any(psutil.pid_exists(it) for it in workers)
            assert not list((model.parent / "tmp").iterdir())


def test_workers_end_when_the_supervisor_is_killed(model: Path) -> None:
    with supervised(model, "--workers=2") as server:
        workers = [psutil.Process(it) for it in server.workers()]
        server.process.kill()
        psutil.wait_procs(workers)


@pytest.mark.parametrize(("content", "reason"), [("bad", "bad weights"), ("crash", "its process ended with status 3")])
def test_a_first_model_that_cannot_be_loaded_is_one_line(model: Path, content: str, reason: str) -> None:
    name = write(model, content).parent.name
    with start(model) as process:
        assert process.wait() == 1
    assert (model.parent / "log").read_text().splitlines()[-1] == f"error: the model {name} cannot be served: {reason}"
    assert not list((model.parent / "tmp").iterdir())


def test_workers_have_no_more_connections_than_files(caplog: pytest.LogCaptureFixture) -> None:
    options = ServerOptions(max_connections=1000, workers=2)
    assert _with_files(options, 5000) is options
    assert _with_files(options, 1024).max_connections == 240  # two files of a worker for each, and twice as many places
    assert "240 connections of a worker, not 1000: a process may have 1024 files open" in caplog.text
    assert _with_files(replace(options, workers=8), 1024).max_connections == 60  # the supervisor has those of all


def test_a_port_in_use_is_an_error_that_says_what_to_do() -> None:
    with listen("127.0.0.1", 0) as used:
        port = used.getsockname()[1]
        with pytest.raises(ValueError, match=rf"--port={port}: Address already in use; accepted: .* --port=0"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 300])
def test_an_address_of_another_machine_is_an_error(host: str) -> None:
    with pytest.raises(ValueError, match=rf"--host={host} --port=0: .+; accepted: an address of this machine"):
        listen(host, 0)


def test_a_listening_socket_may_be_ipv6() -> None:
    with listen("::1", 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        pass
