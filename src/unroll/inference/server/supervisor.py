"""The process that has all connections, starts the workers, replaces dead ones, and follows the model."""

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from unroll.files import delete, reason
from unroll.inference.server.dispatcher import Desk, Dispatcher
from unroll.inference.server.metrics import FOLDER, forget_worker
from unroll.inference.server.options import ServerOptions
from unroll.inference.server.source import ServedModel, Source

log = logging.getLogger("unroll.server")

WORKER = (sys.executable, "-m", "unroll.inference.server.worker")
LONGEST_LINE = 1 << 24  # bytes that a worker says at once, such as the places of all its connections
OTHER_FILES = 64  # that a process has open besides connections
TRIES = 3  # workers that may end while they load another model, before it is given up
SHORT_LIFE = 5.0  # seconds; a worker that ends earlier is not replaced at once
LONGEST_PAUSE = 30.0  # seconds before a worker is replaced


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises ValueError if the port is in use or the address is not one of this machine."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(
            f"--host={host} --port={port}: {cause}; accepted: an address of this machine and a free port, or --port=0 "
            "for any free one"
        ) from error
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """The address of a listening socket for a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _with_files(options: ServerOptions, files: int) -> ServerOptions:
    """The options with as many connections as fit, if every process may have so many files open.

    A worker may hold twice as many as are to be open, and needs two files for each; the supervisor has all.
    """
    most = max(1, (files - OTHER_FILES) // (2 * max(2, options.workers)))
    if most >= options.max_connections:
        return options
    log.warning(
        "%d connections of a worker, not %d: a process may have %d files open", most, options.max_connections, files
    )
    return replace(options, max_connections=most)


@dataclass(eq=False)
class _Worker:
    """A worker process, and what the supervisor knows of it.

    Args:
        desk: where it gets its connections.
        first: None when the worker has its first model, else why it has not.
        sent: the version that it was told to serve last.
        is_replaced: whether another worker has been started in its place.
    """

    process: asyncio.subprocess.Process
    writer: asyncio.StreamWriter
    desk: Desk
    first: "asyncio.Future[str | None]"
    sent: str = ""
    is_replaced: bool = False
    born: float = field(default_factory=time.monotonic)

    def send(self, model: ServedModel, **others: Any) -> None:
        self.sent = model.version
        content = {"name": model.name, "version": model.version, "folder": str(model.folder)}
        self.writer.write(json.dumps({"model": content, **others}).encode() + b"\n")


class Supervisor:
    """Serves the model of a source until SIGTERM or Ctrl-C.

    Clients can connect from the beginning; the kernel keeps their connections until the first worker has the model.
    """

    def __init__(self, source: Source, options: ServerOptions, logs_all: bool = False) -> None:
        self._source, self._options, self._logs_all = source, options, logs_all
        self._workers: set[_Worker] = set()
        self._attending: set[asyncio.Task[None]] = set()
        self._has_started = self._is_stopping = False
        self._short_lives = self._tries = 0

    def serve(self) -> None:
        """Serve; raises ValueError if the address cannot be used, or the model is missing or cannot be loaded."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # connections are files; for the workers too
        self._options = _with_files(self._options, most)
        with (
            listen(self._options.host, self._options.port) as self._listener,
            tempfile.TemporaryDirectory(prefix="unroll-serve-", ignore_cleanup_errors=True) as work,
        ):
            self._work = Path(work)
            (self._work / "metrics").mkdir()
            # The model that new workers get, and the newest one.
            self._model = self._offered = self._source.copy(self._source.version(), self._work / "1")
            asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop, self._stopped, self._look = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
        self._dispatcher = Dispatcher(self._listener)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._look.set)
        try:
            await self._start()
            threading.Thread(target=self._follow, daemon=True).start()
            await self._stopped.wait()
        finally:
            self._is_stopping = True
            await self._end()

    async def _start(self) -> None:
        """Start the workers, and wait until each has the model or the server is to stop."""
        count = self._options.workers
        log.info("%s, version %s, is loaded by %d workers", self._model.name, self._model.version, count)
        workers = [await self._spawn() for _ in range(count)]
        stopped = asyncio.create_task(self._stopped.wait())
        for worker in workers:
            waited: list[asyncio.Future[Any]] = [worker.first, stopped]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                return
            if reason := worker.first.result():
                raise ValueError(f"the model {self._model.name} cannot be served: {reason}")
        stopped.cancel()
        self._has_started = True
        what = f"{self._model.name}, version {self._model.version}"
        print(f"serving {what} at {address_of(self._listener)} (pid {os.getpid()})", flush=True)

    async def _spawn(self) -> _Worker:
        ours, theirs = socket.socketpair()
        desk = Desk(self._options.max_connections)
        with theirs, contextlib.ExitStack() as stack:
            stack.callback(desk.close_inherited)
            numbers = theirs.fileno(), *desk.inherited
            process = await asyncio.create_subprocess_exec(
                *WORKER,
                *map(str, numbers),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=numbers,
                env={"OMP_NUM_THREADS": "1", **os.environ, FOLDER: str(self._work / "metrics")},
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor alone
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        worker = _Worker(process, writer, desk, self._loop.create_future())
        worker.send(self._model, options=asdict(self._options), logs_all=self._logs_all)
        self._workers.add(worker)
        self._keep(self._attend(worker, reader))
        return worker

    async def _attend(self, worker: _Worker, reader: asyncio.StreamReader) -> None:
        """Listen to a worker until it ends, then replace it."""
        with contextlib.suppress(ConnectionError):
            while (line := await reader.readline()).endswith(b"\n"):  # a killed worker may have begun another one
                self._hear(worker, json.loads(line))
        status = await worker.process.wait()
        worker.writer.close()
        self._workers.discard(worker)
        self._dispatcher.take_back(worker.desk)
        forget_worker(worker.process.pid, self._work / "metrics")
        if not worker.first.done():
            worker.first.set_result(f"its process ended with status {status}")
        self._try()  # it may have ended while it loaded a model, and for another reason than this model
        has_served = self._has_started or not worker.first.result()  # else `_start` reports it
        if has_served and not self._is_stopping and not worker.is_replaced:
            log.warning("worker %d ended with status %d and is replaced", worker.process.pid, status)
            await self._replace(worker)

    async def _replace(self, worker: _Worker) -> None:
        is_short = time.monotonic() - worker.born < SHORT_LIFE
        self._short_lives = self._short_lives + 1 if is_short else 0
        if is_short:
            await asyncio.sleep(min(LONGEST_PAUSE, 0.1 * 2**self._short_lives))
        pause = 0.1
        while not self._is_stopping:
            try:
                await self._spawn()
                return
            except OSError as error:  # no memory, or no more files
                pause = min(LONGEST_PAUSE, 2 * pause)
                log.warning("no worker can be started, which is tried again after %g s: %s", pause, reason(error))
                await asyncio.sleep(pause)

    def _hear(self, worker: _Worker, message: dict[str, Any]) -> None:
        if "closed" in message:
            self._dispatcher.free(worker.desk, message["closed"])
            return
        if "draining" in message:
            if not self._is_stopping:  # somebody stops this worker alone
                self._dispatcher.retire(worker.desk)
                worker.is_replaced = True
                self._keep(self._replace(worker))
            return
        if not worker.first.done():
            worker.first.set_result(message.get("reason"))
            if "loaded" in message:
                self._dispatcher.open(worker.desk)
        if "failed" in message:
            log.warning(
                "worker %d cannot load version %s: %s", worker.process.pid, message["failed"], message["reason"]
            )
            return
        log.info("worker %d serves version %s", worker.process.pid, message["loaded"])
        if message["loaded"] == self._offered.version and self._model is not self._offered:
            delete(self._model.folder)
            self._model = self._offered
            for other in self._workers:
                if other.sent != self._model.version:
                    other.send(self._model)

    def _follow(self) -> None:
        """Look for another version now and then, and after SIGHUP. Runs in a thread, because stores may hang."""
        known, number, complaint = self._model.version, 1, ""
        while True:
            self._look.wait(self._options.poll)
            self._look.clear()
            try:
                version = self._source.version()
                if version != known:
                    number += 1
                    model = self._source.copy(version, self._work / str(number))
                    known = version
                    self._loop.call_soon_threadsafe(self._offer, model)
                complaint = ""
            except RuntimeError:  # the loop is closed: the server has stopped
                return
            except Exception as error:  # stores raise anything
                if str(error) != complaint:
                    log.warning("the present version is served on: %s", reason(error))
                complaint = str(error)

    def _offer(self, model: ServedModel) -> None:
        """Let the workers load another model, in place of one that was offered before and that none serves yet."""
        if self._offered is not self._model:
            delete(self._offered.folder)
        if model.version == self._model.version:  # as before, after another that could not be loaded
            delete(model.folder)
            model = self._model
        self._offered, self._tries = model, TRIES
        self._try()

    def _try(self) -> None:
        """Let one worker load the offered model, which may be broken. `_hear` tells the others when it has done so."""
        if self._offered is self._model or any(it.sent == self._offered.version for it in self._workers):
            return
        able = [it for it in self._workers if it.first.done() and not it.first.result()]
        if not able:  # all are being replaced
            self._loop.call_later(0.1, self._try)
        elif self._tries:
            self._tries -= 1
            able[0].send(self._offered)

    def _stop(self) -> None:
        """Let the workers finish what they have accepted; a second signal ends them at once."""
        if self._is_stopping:
            for worker in self._workers:
                worker.process.kill()
        self._is_stopping = True
        self._stopped.set()

    async def _end(self) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.terminate()
        await self._dispatcher.finish(self._options.drain)
        if self._attending:
            await asyncio.wait(self._attending, timeout=self._options.drain + 5)
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
        while self._attending:
            await asyncio.wait(self._attending)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task; the loop itself would not keep it from being collected."""
        task = self._loop.create_task(work)
        self._attending.add(task)
        task.add_done_callback(self._attending.discard)
