"""The server's paths: what is answered to each, around a batcher."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from unroll.inference.answers import is_empty
from unroll.inference.server.batcher import Batcher, Overloaded, Text
from unroll.inference.server.body import Refused, Request, characters, estimated_tokens, read_body, too_many_tokens
from unroll.inference.server.http import Answer, Call, check_content_type
from unroll.inference.server.metrics import CONTENT_TYPE as METRICS
from unroll.inference.server.metrics import Metrics
from unroll.inference.server.openapi import openapi
from unroll.inference.server.options import ServerOptions
from unroll.inference.server.source import ServedModel

log = logging.getLogger("unroll.server")

PATHS = "POST /predict, GET /health, /ready, /models, /metrics, /openapi.json"
SMALL_BODY = 64 * 1024  # bytes; longer bodies share LARGE_BODIES
LARGE_BODIES = 64 << 20  # bytes of large bodies that are read at the same time


class Model(Protocol):
    """What the server needs of `unroll.inference.predictor.Predictor`."""

    def predict(self, texts: list[Text], batch_size: int, errors: Any, probabilities: bool) -> list[dict[str, Any]]: ...

    def count_tokens(self, text: Text) -> int: ...


class Loaded:
    """A model that answers, and what clients may know of it."""

    def __init__(self, served: ServedModel, model: Model, options: ServerOptions) -> None:
        self.facts = served.facts() | {"loaded": datetime.now(UTC).isoformat(timespec="seconds")}
        self.openapi = orjson.dumps(openapi(self.facts, options))
        self._model, self._batch_texts = model, options.batch_texts

    def predict(self, texts: list[Text]) -> list[dict[str, Any]]:
        """One prediction for each text; its values are None if the text cannot be used."""
        return self._model.predict(texts, self._batch_texts, "coerce", False)

    def predict_all(self, texts: list[Text]) -> list[dict[str, Any]]:
        """The same with all probabilities."""
        return self._model.predict(texts, self._batch_texts, "coerce", True)

    def count_tokens(self, text: Text) -> int:
        return self._model.count_tokens(text)


class Service:
    """What the requests of a worker share: limits, metrics, the batcher and the model."""

    def __init__(self, options: ServerOptions) -> None:
        self.options, self.metrics = options, Metrics()
        self.batcher = Batcher(options.batch_texts, options.batch_tokens, options.max_queue, self.metrics.predicted)
        self.loaded: Loaded | None = None
        self.is_draining: Callable[[], bool] = lambda: False
        self.connections: Callable[[], int] = lambda: 0
        self.large_bodies = 0  # bytes of large bodies that are being read

    def serve(self, served: ServedModel, model: Model) -> None:
        """Answer the requests that arrive from now on with this model."""
        former, self.loaded = self.loaded, Loaded(served, model, self.options)
        if former is not None:
            self.metrics.serves(former.facts["name"], former.facts["version"], False)
        self.metrics.serves(served.name, served.version)

    def report(self) -> None:
        """Write the state of this worker into the metrics; called about once a second, and for a request to them."""
        self.metrics.load(self.batcher.queued, self.connections())

    def present(self) -> Loaded:
        """The model; raises Refused if there is none yet."""
        if self.loaded is None:
            raise Refused(503, "the model is not loaded yet", {"retry-after": "1"})
        return self.loaded


Handler = Callable[[Call], Awaitable[Answer]]


def build_app(service: Service) -> Handler:
    """The application; errors are JSON, ``{"error": "…"}``, but for bugs, which it raises."""

    async def predict(call: Call) -> Answer:
        check_content_type(call.headers.get(b"content-type", b"application/json").decode("latin-1"))
        loaded = service.present()
        wanted = read_body(await _read(call, service), loaded.facts, service.options)
        await _check_tokens(wanted, loaded, service.options)
        answers = await _predict(wanted, loaded, service.batcher)
        return Answer.json({"predictions": answers}, headers={"x-model-version": loaded.facts["version"]})

    async def health(call: Call) -> Answer:
        return Answer.json({"status": "alive"})

    async def ready(call: Call) -> Answer:
        if service.is_draining():
            raise Refused(503, "the server is about to stop")
        facts = service.present().facts
        return Answer.json({"status": "ready", "model": facts["name"], "version": facts["version"]})

    async def models(call: Call) -> Answer:
        return Answer.json({"models": [service.present().facts]})

    async def metrics(call: Call) -> Answer:
        service.report()
        return Answer(200, await asyncio.to_thread(service.metrics.page), METRICS)

    async def description(call: Call) -> Answer:
        return Answer(200, service.present().openapi)

    gets: dict[str, Handler] = {
        "/health": health,
        "/ready": ready,
        "/models": models,
        "/metrics": metrics,
        "/openapi.json": description,
    }
    handlers = {"/predict": {"POST": predict}} | {path: {"GET": it, "HEAD": it} for path, it in gets.items()}

    async def app(call: Call) -> Answer:
        try:
            by_method = handlers.get(call.path)
            if by_method is None:
                raise Refused(404, f"no such path; accepted: {PATHS}")
            if call.method not in by_method:
                allowed = ", ".join(by_method)
                raise Refused(405, f"method {call.method}; accepted here: {allowed}", {"allow": allowed})
            return await by_method[call.method](call)
        except Refused as error:
            return Answer.error(error.status, error.reason, error.headers)
        except Overloaded as error:
            return Answer.error(503, str(error), {"retry-after": str(math.ceil(error.seconds))})

    return app


async def _read(call: Call, service: Service) -> bytes:
    """The body, if it is not too large. The connection ends a body that takes too long, and discards what is left."""
    limit = service.options.max_body
    too_large = Refused(413, f"the body is too large; accepted: at most {limit} bytes")
    length = call.headers.get(b"content-length")
    if length is not None and int(length) > limit:  # the parser has checked that it is a number
        raise too_large
    part, is_complete = await call.read()
    if is_complete and len(part) <= min(limit, SMALL_BODY):
        return part
    parts, size = [part], len(part)
    with _large_body(service) as reserve:
        while True:
            if size > limit:
                raise too_large
            reserve(size)
            if is_complete:
                return b"".join(parts)
            part, is_complete = await call.read()
            parts.append(part)
            size += len(part)


@contextmanager
def _large_body(service: Service) -> Iterator[Callable[[int], None]]:
    """Yield a function that reserves memory for the bytes that have been read."""
    reserved = 0

    def reserve(size: int) -> None:
        nonlocal reserved
        if size > SMALL_BODY:
            service.large_bodies += size - reserved
            reserved = size
            if service.large_bodies > LARGE_BODIES:
                raise Overloaded(1)

    try:
        yield reserve
    finally:
        service.large_bodies -= reserved


async def _check_tokens(wanted: Request, loaded: Loaded, options: ServerOptions) -> None:
    """Count the tokens of the texts that may have too many; others have fewer characters than that."""
    for position, text in enumerate(wanted.texts):
        if characters(text) > options.max_tokens:
            tokens = await asyncio.to_thread(loaded.count_tokens, text)
            if tokens > options.max_tokens:
                raise too_many_tokens(wanted, position, tokens, options)


async def _predict(wanted: Request, loaded: Loaded, batcher: Batcher) -> list[dict[str, Any]]:
    tokens = [estimated_tokens(text, wanted.key == "tokens") for text in wanted.texts]
    predict = loaded.predict_all if wanted.probabilities else loaded.predict
    answers = await batcher.submit(predict, wanted.texts, tokens)
    for position, answer in enumerate(answers):
        if not wanted.coerce and is_empty(answer):
            place = wanted.place(position)
            reason = f'{place} has no token that the model reads; accepted: such a text with "errors": "coerce"'
            raise Refused(422, reason)
    return answers
