"""The application behind the page: the page itself, explanations of texts, and means over many texts."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from unroll.inference.explaining.explain import explain
from unroll.inference.explaining.explanation import Explanation
from unroll.inference.play.networks import Network
from unroll.inference.server.batcher import Text
from unroll.inference.server.body import Refused, read_body, too_many_tokens
from unroll.inference.server.http import Answer, check_content_type
from unroll.inference.server.options import ServerOptions
from unroll.pages.page import render

T = TypeVar("T")
# The time of an explanation is quadratic in the number of tokens: two seconds for 200 of a bidirectional network.
LIMITS = ServerOptions(max_body=1 << 17, max_texts=1, max_tokens=200, max_characters=20_000)
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'"
)
PATHS = "GET /, POST /explain?model=NAME, GET /sensitivity?model=NAME"


def build_app(networks: Sequence[Network], beside: bool) -> Starlette:
    """The application; errors are JSON, ``{"error": "…"}``.

    Args:
        networks: at least one, with different names; the page begins with the first.
        beside: whether it begins with the second beside it.
    """
    by_name = {network.name: network for network in networks}
    page = render(Path(__file__).with_name("page.html.j2"), networks=networks, beside=beside, limits=LIMITS)
    lock = threading.Lock()  # one explanation at a time, since PyTorch uses one core well

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page, headers={"content-security-policy": POLICY, "cache-control": "no-store"})

    async def explain_text(request: Request) -> Response:
        check_content_type(request.headers.get("content-type", "application/json"))
        network = chosen(request)
        wanted = read_body(await _read(request), network.facts, LIMITS)

        def work(text: Text) -> Explanation:
            tokens = network.predictor.count_tokens(text)
            if tokens > LIMITS.max_tokens:
                raise too_many_tokens(wanted, 0, tokens, LIMITS)
            return explain(network.predictor, text)

        return _response(Answer.json(as_json(await _in_thread(lock, lambda: work(wanted.texts[0])))))

    async def show_sensitivity(request: Request) -> Response:
        network = chosen(request)
        return _response(Answer.json(asdict(await _in_thread(lock, lambda: network.sensitivity))))

    def chosen(request: Request) -> Network:
        name = request.query_params.get("model", "")
        if name not in by_name:
            raise Refused(404, f"model={name[:60]!r}; accepted: {', '.join(by_name)}")
        return by_name[name]

    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/explain", explain_text, methods=["POST"]),
            Route("/sensitivity", show_sensitivity),
        ],
        exception_handlers={Refused: _refused, HTTPException: _http_error, ClientDisconnect: _gone},
    )


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The fields of an explanation, and what is computed from them, with the digits that a picture needs."""
    content = {field.name: getattr(explanation, field.name) for field in fields(explanation)}
    for name in ("contribution_changes", "prefix_log_odds", "is_per_token"):
        content[name] = getattr(explanation, name)
    return {name: _compact(value) if isinstance(value, np.ndarray) else value for name, value in content.items()}


def _compact(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.int64 if array.dtype.kind == "i" else np.float32)


async def _read(request: Request) -> bytes:
    """The body, if it is not too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LIMITS.max_body:
            raise Refused(413, f"the body is too large; accepted: at most {LIMITS.max_body} bytes")
    return body


async def _in_thread(lock: threading.Lock, work: Callable[[], T]) -> T:
    def alone() -> T:
        with lock, _for_the_user():
            return work()

    return await asyncio.to_thread(alone)


@contextmanager
def _for_the_user() -> Iterator[None]:
    """Turn the message of a ValueError into the answer."""
    try:
        yield
    except ValueError as error:
        raise Refused(422, str(error)) from error


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers), answer.kind)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _response(Answer.error(error.status, error.reason, error.headers))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = error.detail
    if error.status_code == 404:
        reason = f"no such path; accepted: {PATHS}"
    elif error.status_code == 405 and error.headers:
        reason = f"method {request.method[:20]}; accepted here: {error.headers['Allow']}"
    return _response(Answer.error(error.status_code, reason, error.headers))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it
