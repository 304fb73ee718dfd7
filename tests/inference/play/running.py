"""The page's server in a thread of the test."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import uvicorn

from unroll.inference.play.app import build_app
from unroll.inference.play.networks import Network
from unroll.inference.server.source import FolderSource
from unroll.inference.server.supervisor import address_of, listen


class Running(NamedTuple):
    """A server that runs at an address."""

    address: str

    def ask(
        self, path: str, body: Any = None, kind: str = "application/json"
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Send one request; return the status, the content (JSON is decoded) and the headers of the answer."""
        with contextlib.closing(http.client.HTTPConnection(self.address.removeprefix("http://"))) as client:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body)
            client.request(
                "GET" if body is None else "POST", path, content, {} if body is None else {"content-type": kind}
            )
            answer = client.getresponse()
            text = answer.read().decode()
            is_json = answer.getheader("content-type") == "application/json"
            return answer.status, json.loads(text) if is_json else text, answer.headers

    def explain(self, model: str, **body: Any) -> tuple[int, Any]:
        return self.ask(f"/explain?model={quote(model)}", body)[:2]


@contextlib.contextmanager
def serving(networks: Sequence[Network], beside: bool = False) -> Iterator[Running]:
    with listen("127.0.0.1", 0) as listener:
        config = uvicorn.Config(build_app(networks, beside), http="h11", ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # they are the main thread's
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Running(address_of(listener))
        finally:
            server.should_exit = True
            thread.join()


def network(folder: Path, data: Path | None = None) -> Network:
    return Network(FolderSource(folder).in_place(), data)
