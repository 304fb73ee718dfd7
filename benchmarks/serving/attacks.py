"""Requests that are wrong, huge or slow, sent while an honest client works: how each is answered."""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator, Callable

from benchmarks.serving.client import Address, load, read_answer, request_of
from benchmarks.serving.server import Server

HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
MIB = 1 << 20


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _huge(size: int) -> AsyncIterator[bytes]:
    yield HEAD + b"content-length: %d\r\n\r\n" % size
    for _ in range(size // MIB):
        yield bytes(MIB)


async def _huge_chunks(size: int) -> AsyncIterator[bytes]:
    yield HEAD + b"transfer-encoding: chunked\r\n\r\n"
    for _ in range(size // MIB):
        yield b"100000\r\n" + bytes(MIB) + b"\r\n"
    yield b"0\r\n\r\n"


async def _slowly(data: bytes, seconds: float) -> AsyncIterator[bytes]:
    for byte in data:
        yield bytes([byte])
        await asyncio.sleep(seconds)


def _json(value: object) -> Callable[[], AsyncIterator[bytes]]:
    return lambda: _pieces(request_of(json.dumps(value).encode()))


def _body(body: bytes) -> Callable[[], AsyncIterator[bytes]]:
    return lambda: _pieces(request_of(body))


ATTACKS: dict[str, Callable[[], AsyncIterator[bytes]]] = {
    "a body of 100 MB": lambda: _huge(100 * MIB),
    "a body of 100 MB in chunks": lambda: _huge_chunks(100 * MIB),
    "a word of 1 MB": _json({"text": "a" * 1_000_000}),
    "a text of 200,000 words": _json({"text": "ab " * 200_000}),
    "10,000 texts": _json({"texts": ["a"] * 10_000}),
    "NUL bytes": _body(b'{"text": "a\0b"}'),
    "only NUL": _body(bytes(100)),
    "invalid UTF-8": _body(b'{"text": "\xff\xfe\xc3"}'),
    "a lone surrogate": _body(b'{"text": "\\ud800"}'),
    "100,000 brackets": _body(b"[" * 100_000),
    "900 nested objects": _body(b'{"text":' * 900 + b"1" + b"}" * 900),
    "a number": _json(7),
    "a list": _json(["a"]),
    "null": _json({"text": None}),
    "a list of numbers": _json({"texts": [1, 2]}),
    "no texts": _json({"texts": []}),
    "an empty text": _json({"text": ""}),
    "a text that is not shown": _json({"text": "\u200b\u00ad"}),
    "a number of 100,000 digits": _body(b'{"text": ' + b"9" * 100_000 + b"}"),
    "UTF-16": _body('{"text": "a"}'.encode("utf-16")),
    "a compressed body": _body(gzip.compress(b'{"text": "a"}')),
    "an unknown key": _json({"txt": "a"}),
    "two keys": _json({"text": "a", "texts": ["a"]}),
    "no body": _body(b""),
    "not HTTP": lambda: _pieces(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"),
    "a header of 1 MB": lambda: _pieces(HEAD + b"x: " + b"a" * MIB + b"\r\n\r\n"),
    "two lengths": lambda: _pieces(HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
    "a negative length": lambda: _pieces(HEAD + b"content-length: -1\r\n\r\n"),
    "10,000 headers": lambda: _pieces(HEAD + b"x: y\r\n" * 10_000 + b"\r\n"),
    "a form": lambda: _pieces(request_of(b"text=a").replace(b"application/json", b"application/x-www-form-urlencoded")),
    "another method": lambda: _pieces(b"TRACE /predict HTTP/1.1\r\nhost: x\r\n\r\n"),
    "HTTP/2": lambda: _pieces(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "1,000 requests without waiting": lambda: _pieces(request_of(b'{"text": 7}') * 1000),
    "a wrong chunk": lambda: _pieces(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"),
    "a slow header": lambda: _slowly(HEAD * 9, 0.1),
    "a slow body": lambda: _slowly(request_of(b'{"text": "' + b"a" * 500), 0.02),
    "half a header": lambda: _pieces(HEAD),
    "half a body": lambda: _pieces(HEAD + b"content-length: 99\r\n\r\n{"),
}


async def attack(server: Server, bodies: list[bytes]) -> None:
    """Print the answer to each attack, and how an honest client fared meanwhile."""
    until = asyncio.Event()
    honest = asyncio.create_task(load(server.address, bodies, 4, until))
    before = server.memory()
    for name, pieces in ATTACKS.items():
        start = time.perf_counter()
        answer = await _answer(server.address, pieces())
        print(f"attack: {name}: {answer} ({time.perf_counter() - start:.1f} s)")
    await _flood(server, "200 silent connections", 200, lambda: _pieces(b""))
    await _flood(server, "200 half bodies", 200, ATTACKS["half a body"])
    await _flood(server, "20 bodies of 100 MB at once", 20, lambda: _huge(100 * MIB))
    await _flood(server, "200 times 1,000 texts at once", 200, _json({"texts": ["a good film " * 20] * 1000}))
    await _unread(server, 20)
    await _flood(server, "1,500 silent connections", 1500, lambda: _pieces(b""))
    until.set()
    tally = await honest
    print(f"attack: the honest client meanwhile: {tally}; memory {before:.0f} to {server.memory():.0f} MiB")


async def _flood(server: Server, name: str, count: int, pieces: Callable[[], AsyncIterator[bytes]]) -> None:
    start = time.perf_counter()
    answers = await asyncio.gather(*(_answer(server.address, pieces()) for _ in range(count)))
    kinds = sorted({answer[:60] for answer in answers})
    shown = "; ".join(f"{sum(it.startswith(kind) for it in answers)} × {kind}" for kind in kinds)
    print(f"attack: {name}: {shown} ({time.perf_counter() - start:.1f} s, {server.memory():.0f} MiB)")


async def _unread(server: Server, count: int) -> None:
    """Clients that send requests until they are cut off, and never read."""
    requests = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 100

    async def one() -> None:
        try:
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(server.address)
                connection.setblocking(False)
                while True:
                    await asyncio.get_running_loop().sock_sendall(connection, requests)
        except OSError:
            pass

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    seconds = time.perf_counter() - start
    print(f"attack: {count} clients that do not read: all cut off ({seconds:.1f} s, {server.memory():.0f} MiB)")


async def _answer(address: Address, pieces: AsyncIterator[bytes]) -> str:
    """The status and the reason, or how the connection ended."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError as error:
        return f"no connection: {error}"
    answer = asyncio.ensure_future(read_answer(reader))
    sent = asyncio.ensure_future(_send(writer, pieces))
    try:
        status, headers, body = await answer
        content = json.loads(body)
        retry = f", Retry-After {headers['retry-after']}" if "retry-after" in headers else ""
        return f"{status}{retry} {content.get('error', 'predictions')}"
    except asyncio.IncompleteReadError:
        return "closed without an answer"
    except OSError as error:
        return f"ended: {error}"
    finally:
        sent.cancel()
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, pieces: AsyncIterator[bytes]) -> None:
    async for piece in pieces:
        writer.write(piece)
        await writer.drain()
