"""The HTTP client of the Hub's downloads, which gives up on an answer that only trickles in."""

import time
from collections.abc import Iterator

from httpx2 import Client, ReadError, Response, SyncByteStream
from huggingface_hub import get_session, set_client_factory

GRACE_SECONDS = 8.0
LEAST_BYTES_PER_SECOND = 1000.0


def refuse_trickles() -> None:
    """Have every answer's body fail that comes slower than LEAST_BYTES_PER_SECOND.

    A read timeout does not catch it: each single read is in time.
    """
    client = get_session()
    hooks = {**client.event_hooks, "response": [_watch]}
    set_client_factory(lambda: Client(event_hooks=hooks, follow_redirects=True, timeout=None))


def _watch(response: Response) -> None:
    if isinstance(response.stream, SyncByteStream):
        response.stream = _WatchedStream(response.stream)


class _WatchedStream(SyncByteStream):
    def __init__(self, stream: SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        start, received = time.monotonic(), 0
        for chunk in self._stream:
            received += len(chunk)
            seconds = time.monotonic() - start
            if seconds > GRACE_SECONDS and received < seconds * LEAST_BYTES_PER_SECOND:
                raise ReadError(f"{received} bytes in {seconds:.0f} seconds")
            yield chunk

    def close(self) -> None:
        self._stream.close()
