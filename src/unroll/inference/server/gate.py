"""What happens to every request before and after the application: request id, token, metrics, log."""

import hmac
import logging
import random
import re
import time
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unroll.inference.server.metrics import Metrics

log = logging.getLogger("unroll.server")

PATHS = {"/predict", "/health", "/ready", "/models", "/metrics", "/openapi.json"}
FREE = {"/health", "/ready"}  # for probes, which have no token
_REQUEST_ID = re.compile(rb"[\w.:-]{1,64}", re.ASCII)


class Gate:
    """Wraps the application.

    Args:
        token: that requests must carry in ``Authorization: Bearer``; None lets all pass.
        logs_all: whether every request is logged, or only errors.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None = None, logs_all: bool = False) -> None:
        self._app, self._metrics, self._logs_all = app, metrics, logs_all
        self._token = None if token is None else f"bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, status = time.perf_counter(), 0
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else b"%032x" % random.getrandbits(128)

        name = request_id.decode()
        scope["state"]["request_id"] = name

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id))
            await send(message)

        try:
            if self._token is None or scope["path"] in FREE or self._is_authorized(headers):
                await self._app(scope, receive, send_with_id)
            else:
                await _refuse_stranger(send_with_id)
        except Exception:  # answered by the application
            log.exception("request %s failed; this is a bug in unroll or in a library that it uses:", name)
        finally:
            seconds = time.perf_counter() - start
            path = scope["path"] if scope["path"] in PATHS else "other"
            self._metrics.answered(path, status, seconds)
            if self._logs_all or status >= 400:
                self._log(scope, name, status, seconds)

    def _is_authorized(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        assert self._token is not None
        return hmac.compare_digest(scheme.lower() + b" " + given.strip(), self._token)

    def _log(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        address = scope["client"][0] if scope["client"] else "-"
        path = scope["raw_path"][:200].decode("ascii", "backslashreplace")
        values: tuple[Any, ...] = (name, address, scope["method"], path, status, 1e3 * seconds)
        log.info("%s %s %s %s %d %.1f ms", *values)


async def _refuse_stranger(send: Send) -> None:
    reason = "no token, or a wrong one; accepted: the header Authorization: Bearer TOKEN"
    await _answer(send, 401, reason, [(b"www-authenticate", b"Bearer")])


async def _answer(send: Send, status: int, reason: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = orjson.dumps({"error": reason})
    fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
