"""A worker's server in a thread of the test, at a real socket, with a model that the test controls."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unroll.inference.server.app import Service
from unroll.inference.server.dispatcher import Desk, Dispatcher
from unroll.inference.server.handover import Ledger
from unroll.inference.server.options import ServerOptions
from unroll.inference.server.server import Server
from unroll.inference.server.source import ServedModel
from unroll.inference.server.supervisor import listen
from unroll.inference.server.worker import build_server

FACTS = {"task": "classification", "is_pair": False, "given_tokens": False, "label_names": ["long", "short"]}


@dataclass
class Lengths:
    """Labels a text by its length; a text that is `broken` makes it fail, as a bug would.

    Args:
        gate: what it waits for before it predicts.
        entered: is set when it waits.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list[list[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def predict(
        self, texts: list[Any], batch_size: int = 64, errors: str = "raise", probabilities: bool = False
    ) -> list[dict[str, Any]]:
        self.batches.append(list(texts))
        self.entered.set()
        self.gate.wait()
        if "broken" in texts:
            raise RuntimeError("a secret of /the/house")
        return [{"label": "long" if len(it) > 9 else "short" if len(it) else None} for it in texts]

    def count_tokens(self, text: Any) -> int:
        return len(text.split()) if isinstance(text, str) else len(text)


@dataclass
class Running:
    """A server that runs; `stop` does what SIGTERM does."""

    server: Server
    service: Service
    port: int
    thread: threading.Thread

    def stop(self) -> None:
        self.server.stop()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    def ask(
        self, content: Any = None, path: str = "/predict", headers: dict[str, str] | None = None, method: str = ""
    ) -> tuple[int, Any, dict[str, str]]:
        """Send one request; return the status, the content (JSON is decoded) and the headers of the answer."""
        body = content if content is None or isinstance(content, bytes) else json.dumps(content)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as client:
            kind = {} if body is None else {"content-type": "application/json"}
            client.request(method or ("GET" if body is None else "POST"), path, body, kind | (headers or {}))
            answer = client.getresponse()
            text = answer.read().decode()
            is_json = answer.getheader("content-type") == "application/json"
            return answer.status, json.loads(text) if is_json else text, {k.lower(): v for k, v in answer.getheaders()}

    def send(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own; return all that comes back until the server closes it."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
            received = b""
            with contextlib.suppress(ConnectionError):
                while part := connection.recv(65536):
                    received += part
            return received


@contextlib.contextmanager
def running(
    model: Any, folder: Path, token: str | None = None, facts: dict[str, Any] | None = None, **options: Any
) -> Iterator[Running]:
    """Serve `model`; `folder` receives its facts."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        service = Service(ServerOptions(**options))
        service.serve(served(folder, facts), model)
        desk = Desk(service.options.max_connections)
        server, serve = attended(listener, desk, service, token)
        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            yield Running(server, service, port, thread)
        finally:
            server.stop()
            thread.join()
            service.batcher.close()


def attended(
    listener: socket.socket, desk: Desk, service: Service, token: str | None
) -> tuple[Server, Callable[[], Coroutine[Any, Any, None]]]:
    """A server with a dispatcher in its own process."""
    drained, dispatchers = asyncio.Event(), list[Dispatcher]()
    server = build_server(
        service,
        desk.workers_channel,
        Ledger(desk.file.fileno()),
        token,
        on_drain=drained.set,
        on_close=lambda place: dispatchers[0].free(desk, [place]),
    )

    async def serve() -> None:
        dispatcher = Dispatcher(listener)
        dispatchers.append(dispatcher)
        dispatcher.open(desk)
        serving = asyncio.create_task(server.serve())
        await drained.wait()
        await dispatcher.finish(service.options.drain)
        await serving

    return server, serve


def served(folder: Path, facts: dict[str, Any] | None = None, version: str = "1") -> ServedModel:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(FACTS | (facts or {})))
    return ServedModel("lengths", version, folder)


def until(condition: Callable[[], Any]) -> None:
    """Wait for something that another thread or process does."""
    while not condition():
        time.sleep(0.001)


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin some work; the returned function waits for its result."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()

    def result() -> Any:
        thread.join()
        return results[0]

    return result
