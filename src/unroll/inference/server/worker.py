"""A worker process: loads the model, answers requests, and takes another model when the supervisor names one.

    python -m unroll.inference.server.worker CONTROL CHANNEL LEDGER

These are numbers of inherited files: a socket on which both sides send lines of JSON, one that brings connections, and
the file of the notes about them.
"""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unroll.files import reason
from unroll.inference.predictor import Predictor
from unroll.inference.server.app import Model, Service, build_app
from unroll.inference.server.gate import Gate
from unroll.inference.server.handover import Ledger
from unroll.inference.server.options import ServerOptions, token_of_environment
from unroll.inference.server.server import Server
from unroll.inference.server.source import ServedModel

log = logging.getLogger("unroll.server")

TOGETHER = 0.01  # seconds in which closed connections are told together
LOG_FORMAT = "%(asctime)s %(process)d %(levelname)s %(message)s"


class Worker:
    """One worker; `control` is the connection to the supervisor. For the other arguments see `Server`."""

    def __init__(self, control: socket.socket, channel: socket.socket, ledger: Ledger) -> None:
        self._control, self._channel, self._ledger = control, channel, ledger
        self._closed: list[int] = []  # places of which the supervisor is to be told

    async def run(self) -> None:
        """Serve until the supervisor, or SIGTERM, says that it is enough."""
        reader, self._writer = await asyncio.open_connection(sock=self._control)
        first = json.loads(await reader.readline())
        self._service = Service(ServerOptions(**first["options"]))
        if not await self._load(first["model"]):
            return
        server = build_server(
            self._service,
            self._channel,
            self._ledger,
            token_of_environment(),
            first["logs_all"],
            lambda: self._tell(draining=True),
            self._close,
        )
        listening = asyncio.create_task(self._listen(reader, server))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor too, which stops the workers
        signal.signal(signal.SIGTERM, lambda number, frame: server.stop())
        await server.serve()
        listening.cancel()

    async def _listen(self, reader: asyncio.StreamReader, server: Server) -> None:
        """Take the models that the supervisor names; stop when it has gone."""
        while line := await reader.readline():
            await self._load(json.loads(line)["model"])
        server.stop()

    async def _load(self, model: dict[str, str]) -> bool:
        """Load a model beside the present one, let it predict once, and answer with it."""
        served = ServedModel(model["name"], model["version"], Path(model["folder"]))
        try:
            facts = served.facts()
            loaded = await asyncio.to_thread(_load_and_try, served.folder, facts, self._service.options.device)
            self._service.serve(served, loaded)
        except Exception as error:  # a folder may contain anything
            if not isinstance(error, ValueError):
                log.exception("%s version %s cannot be loaded:", served.name, served.version)
            self._service.metrics.could_not_load()
            self._tell(failed=served.version, reason=reason(error))
            return False
        gc.unfreeze()
        gc.collect()
        gc.freeze()  # the model stays: leave it out of collections, which take a tenth of a second otherwise
        self._tell(loaded=served.version)
        return True

    def _close(self, place: int) -> None:
        if not self._closed:
            asyncio.get_running_loop().call_later(TOGETHER, self._tell_closed)
        self._closed.append(place)

    def _tell_closed(self) -> None:
        self._tell(closed=self._closed)
        self._closed = []

    def _tell(self, **message: Any) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")


def build_server(
    service: Service,
    channel: socket.socket,
    ledger: Ledger,
    token: str | None = None,
    logs_all: bool = False,
    on_drain: Callable[[], None] = lambda: None,
    on_close: Callable[[int], None] = lambda place: None,
) -> Server:
    """A server of what `service` has; for the arguments see `Gate` and `Server`."""
    gate = Gate(build_app(service), service.metrics, token, logs_all)
    server = Server(channel, ledger, gate, service.options, service.report, on_drain, on_close)
    service.is_draining = lambda: server.is_draining
    service.connections = lambda: len(server.connections)
    return server


def _load_and_try(folder: Path, facts: dict[str, Any], device: str) -> Model:
    model = Predictor.load(folder, device)
    model.predict([("a", "a") if facts["is_pair"] else "a"], errors="coerce")
    return model


def main() -> None:
    control, channel, ledger = map(int, sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    asyncio.run(Worker(socket.socket(fileno=control), socket.socket(fileno=channel), Ledger(ledger)).run())
    sys.stderr.flush()
    os._exit(0)  # the model's thread need not end what nobody waits for


if __name__ == "__main__":
    main()
