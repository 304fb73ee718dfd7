"""Runs independent work in parallel processes."""

import io
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any

from unroll.exceptions import Terminated, is_mistake, message, raise_terminated


@dataclass(frozen=True)
class Line:
    """A line that the work on ``items[index]`` printed."""

    index: int
    text: str


@dataclass(frozen=True)
class Done:
    """The result of the work on ``items[index]``, or its error: a message for the user, or the traceback of a bug."""

    index: int
    result: Any = None
    error: str | None = None


def side_by_side(
    work: Callable[[Any], Any], items: Sequence[Any], processes: int, preload: Sequence[str] = ()
) -> Iterator[Line | Done]:
    """Call `work` on every item in parallel processes; yield printed lines and results as they arrive.

    An error ends the work on its own item only. If the caller stops early or is interrupted, the processes receive
    SIGTERM and are waited for. If the caller is killed, each process finishes its item and ends.

    Args:
        work: a function at module level, since it is pickled, as the items are.
        processes: maximum number of processes.
        preload: modules that are imported once, before the processes are forked.
    """
    context = _context(preload)
    waiting = list(enumerate(items))[::-1]
    workers: dict[Connection, _Worker] = {}
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                worker = _Worker(context, work)
                workers[worker.connection] = worker  # first, so that an interruption at any time ends the process
                worker.start()
                worker.give(waiting.pop())
            for connection in wait(list(workers)):
                assert isinstance(connection, Connection)
                worker = workers[connection]
                event = worker.receive()
                yield event
                if isinstance(event, Done):
                    if waiting and worker.process.is_alive():
                        worker.give(waiting.pop())
                    else:
                        del workers[connection]
                        worker.close()
    finally:
        for worker in workers.values():  # all of them first, then wait
            worker.terminate()
        for worker in workers.values():
            worker.close()


class _Worker:
    """A process that works on one item after another."""

    def __init__(self, context: BaseContext, work: Callable[[Any], Any]) -> None:
        self.connection, self._other = multiprocessing.Pipe()
        self._index = -1
        self.process: Any = context.Process(target=_serve, args=(self._other, work))  # type: ignore[attr-defined]

    def start(self) -> None:
        self.process.start()
        self._other.close()  # so that `receive` notices when the process ends

    def give(self, item: tuple[int, Any]) -> None:
        self._index = item[0]
        with suppress(OSError):  # the process has died; `receive` reports it
            self.connection.send(item)

    def receive(self) -> Line | Done:
        try:
            return self.connection.recv()
        except (EOFError, OSError):  # the process died, maybe while sending
            self.process.join()
            code = self.process.exitcode
            how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with status {code}"
            return Done(self._index, error=f"its process {how}")

    def terminate(self) -> None:
        if self.process.pid is not None:  # else the start was interrupted; without an item, the process ends by itself
            self.process.terminate()

    def close(self) -> None:
        self.connection.close()  # the process then ends
        if self.process.pid is not None:
            self.process.join()


def _context(preload: Sequence[str]) -> BaseContext:
    """Fork processes from a new one that has imported `preload`; spawn them where forking is not supported.

    Processes are spawned on macOS too, whose system libraries may crash after a fork.
    """
    if sys.platform == "darwin" or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    """Work on items until the other end of the connection is closed."""
    raise_terminated()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent then sends SIGTERM
    try:
        while True:
            index, item = connection.recv()
            writer = _LineWriter(connection, index)
            with redirect_stdout(writer), redirect_stderr(writer):
                done = attempt(work, index, item)
            writer.write("\n")  # ends the last line
            connection.send(done)
    except (EOFError, ConnectionError):  # the parent needs no more results
        pass
    except Terminated:
        sys.exit(128 + signal.SIGTERM)


def attempt(work: Callable[[Any], Any], index: int, item: Any) -> Done:
    try:
        return Done(index, work(item))
    except Exception as error:
        bug = f"this is a bug in unroll or in a library that it uses:\n{traceback.format_exc()}"
        return Done(index, error=message(error) if is_mistake(error) else bug)


class _LineWriter(io.TextIOBase):
    """A text stream that sends complete lines that are not blank; those of forked processes are dropped."""

    def __init__(self, connection: Connection, index: int) -> None:
        self._connection, self._index = connection, index
        self._rest, self._owner = "", os.getpid()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip() and os.getpid() == self._owner:
                with suppress(OSError):  # the parent has ended; finish the work
                    self._connection.send(Line(self._index, line))
        return len(text)
