"""What the applications of this package share: answers in JSON, and errors as ``{"error": "…"}``."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from unroll.inference.server.body import Refused


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Content of plain values and NumPy arrays."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, "application/json")


def check_content_type(request: Request) -> None:
    """Raise Refused if the body is said to be something else than JSON, such as the form of another site's page."""
    content_type = request.headers.get("content-type", "application/json")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, f"Content-Type: {content_type[:60]}; accepted: application/json")


async def refused(request: Request, error: Exception) -> Response:
    """The answer to a request that was refused."""
    assert isinstance(error, Refused)
    return json_response({"error": error.reason}, error.status, error.headers)


def http_error(paths: str) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A handler for a path or a method that does not exist; `paths`: those that do, for people."""

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = error.detail
        if error.status_code == 404:
            reason = f"no such path; accepted: {paths}"
        elif error.status_code == 405 and error.headers:
            reason = f"method {request.method[:20]}; accepted here: {error.headers['Allow']}"
        return json_response({"error": reason}, error.status_code, dict(error.headers or {}))

    return handle
