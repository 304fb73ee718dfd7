"""A closed-loop client of many connections, on raw sockets, that counts every request without an answer."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Address(NamedTuple):
    host: str
    port: int


class Answer(NamedTuple):
    """Status, headers (names in lower case) and body."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Tally:
    """What became of the requests.

    Args:
        seconds: from request to answer, of each answered request.
        lost: requests that were sent and not answered, because the connection ended.
        refused: connections that could not be made.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: "Counter[int]" = field(default_factory=Counter)
    versions: "Counter[str]" = field(default_factory=Counter)
    lost: int = 0
    refused: int = 0

    def quantile(self, q: float) -> float:
        """Milliseconds."""
        return float(1e3 * np.quantile(self.seconds, q))

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()))
        return f"{statuses}; lost {self.lost}; p50 {self.quantile(0.5):.1f} ms, p99 {self.quantile(0.99):.1f} ms"


def request_of(body: bytes, path: str = "/predict") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer; raises asyncio.IncompleteReadError if the connection ends before."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, _, rest = head.partition("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest.split("\r\n") if line)}
    return Answer(int(status.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def load(
    address: Address, bodies: Sequence[bytes], connections: int, until: asyncio.Event, path: str = "/predict"
) -> Tally:
    """Send requests over `connections`, each the next one as soon as it has an answer, until the event is set.

    A connection that cannot be made ends its part of the load.
    """
    tally, requests = Tally(), itertools.cycle([request_of(body, path) for body in bodies])
    await asyncio.gather(*(_one(address, requests, until, tally) for _ in range(connections)))
    return tally


async def _one(address: Address, requests: Iterator[bytes], until: asyncio.Event, tally: Tally) -> None:
    while not until.is_set():
        try:
            reader, writer = await asyncio.open_connection(*address)
        except OSError:
            tally.refused += 1
            return
        try:
            while not until.is_set():
                start = time.perf_counter()
                writer.write(next(requests))
                answer = await read_answer(reader)
                tally.seconds.append(time.perf_counter() - start)
                tally.statuses[answer.status] += 1
                tally.versions[answer.headers.get("x-model-version", "-")] += 1
                if answer.headers.get("connection") == "close":
                    break
        except (asyncio.IncompleteReadError, OSError):
            tally.lost += 1
        finally:
            writer.transport.abort()
