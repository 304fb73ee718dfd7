"""What happens to every request before and after the application: request id, token, metrics, log."""

import hmac
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from unroll.inference.server.http import Answer, Call, Gone, Receive, Send
from unroll.inference.server.metrics import Metrics

log = logging.getLogger("unroll.server")

PATHS = {"/predict", "/health", "/ready", "/models", "/metrics", "/openapi.json"}
FREE = {"/health", "/ready"}  # for probes, which have no token
STRANGER = Answer.error(
    401, "no token, or a wrong one; accepted: the header Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"}
)
GONE = Answer(499, b"")  # nobody reads it; nginx's number for it in logs
_REQUEST_ID = re.compile(rb"[\w.:-]{1,64}", re.ASCII)


class Gate:
    """Wraps the application as an ASGI one.

    Args:
        token: that requests must carry in ``Authorization: Bearer``; None lets all pass.
        logs_all: whether every request is logged, or only errors.
    """

    def __init__(
        self,
        app: Callable[[Call], Awaitable[Answer]],
        metrics: Metrics,
        token: str | None = None,
        logs_all: bool = False,
    ) -> None:
        self._app, self._metrics, self._logs_all = app, metrics, logs_all
        self._token = None if token is None else f"bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        start, status = time.perf_counter(), 0
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        name = given.decode() if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        path = scope["path"]
        try:
            answer = await self._answer(Call(scope["method"], path, headers, receive, scope["state"]), name)
            status = answer.status
            await _send(answer, name, send)
        finally:
            seconds = time.perf_counter() - start
            self._metrics.answered(path if path in PATHS else "other", status, seconds)
            if self._logs_all or status >= 400:
                self._log(scope, name, status, seconds)

    async def _answer(self, call: Call, request_id: str) -> Answer:
        if self._token is not None and call.path not in FREE and not self._is_authorized(call.headers):
            return STRANGER
        try:
            return await self._app(call)
        except Gone:
            return GONE
        except Exception:
            log.exception("request %s failed; this is a bug in unroll or in a library that it uses:", request_id)
            return Answer.error(500, f"internal error; request id {request_id}")

    def _is_authorized(self, headers: Mapping[bytes, bytes]) -> bool:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        assert self._token is not None
        return hmac.compare_digest(scheme.lower() + b" " + given.strip(), self._token)

    def _log(self, scope: Any, name: str, status: int, seconds: float) -> None:
        address = scope["client"][0] if scope["client"] else "-"
        path = scope["raw_path"][:200].decode("ascii", "backslashreplace")
        values: tuple[Any, ...] = (name, address, scope["method"], path, status, 1e3 * seconds)
        log.info("%s %s %s %s %d %.1f ms", *values)


async def _send(answer: Answer, request_id: str, send: Send) -> None:
    headers = [
        (b"content-type", answer.kind.encode()),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
        *((name.encode(), value.encode()) for name, value in answer.headers.items()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
