"""Serves the page until Ctrl-C."""

import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from unroll.inference.server.options import is_loopback
from unroll.inference.server.supervisor import address_of


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End by a signal; uvicorn's own raises it once more afterwards."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


def check_host(host: str, insecure: bool) -> None:
    """Raise ValueError if other machines could open the page, unless that is wanted."""
    if not insecure and not is_loopback(host):
        raise ValueError(
            f"--host={host}: other machines could open the page; accepted: --host=127.0.0.1, or --insecure"
        )


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve at a listening socket."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    print(f"unroll play at {address_of(listener)} (Ctrl-C ends it)", flush=True)
    _Server(config).run(sockets=[listener])
