"""What happens to every request before and after the application: request id, token, metrics, log."""

import asyncio
import hmac
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping

from unroll.inference.server.http import Answer, Call
from unroll.inference.server.metrics import Metrics

log = logging.getLogger("unroll.server")

PATHS = {"/predict", "/health", "/ready", "/models", "/metrics", "/openapi.json"}
FREE = {"/health", "/ready"}  # for probes, which have no token
STRANGER = Answer.error(
    401, "no token, or a wrong one; accepted: the header Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"}
)
GONE = 499  # in logs, where the client has hung up; nginx's number for it
_REQUEST_ID = re.compile(rb"[\w.:-]{1,64}", re.ASCII)


class Gate:
    """Wraps the application.

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

    async def __call__(self, call: Call) -> Answer:
        start, status = time.perf_counter(), 0
        given = call.headers.get(b"x-request-id", b"")
        name = given.decode() if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        try:
            answer = await self._answer(call, name)
            status = answer.status
        except asyncio.CancelledError:
            status = GONE
            raise
        finally:
            seconds = time.perf_counter() - start
            self._metrics.answered(call.path if call.path in PATHS else "other", status, seconds)
            if self._logs_all or status >= 400:
                self._log(call, name, status, seconds)
        return answer._replace(headers={"x-request-id": name, **answer.headers})

    async def _answer(self, call: Call, request_id: str) -> Answer:
        if self._token is not None and call.path not in FREE and not self._is_authorized(call.headers):
            return STRANGER
        try:
            return await self._app(call)
        except Exception:
            log.exception("request %s failed; this is a bug in unroll or in a library that it uses:", request_id)
            return Answer.error(500, f"internal error; request id {request_id}")

    def _is_authorized(self, headers: Mapping[bytes, bytes]) -> bool:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        assert self._token is not None
        return hmac.compare_digest(scheme.lower() + b" " + given.strip(), self._token)

    def _log(self, call: Call, name: str, status: int, seconds: float) -> None:
        log.info("%s %s %s %s %d %.1f ms", name, call.client, call.method, call.target[:200], status, 1e3 * seconds)
