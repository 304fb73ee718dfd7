"""Requests from bytes: which are read, which are refused, and how much of them is kept."""

import asyncio

import pytest

from unroll.inference.server.incoming import MAX_HEADER, PIECE, Incoming, NotHTTP, Parser

GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


def parsed(data: bytes, size: int = PIECE) -> Parser:
    parser = Parser()
    for start in range(0, len(data), size):
        parser.feed(memoryview(data)[start : start + size])
    return parser


def body(request: Incoming) -> bytes:
    part, is_complete = asyncio.run(request.read())
    assert is_complete
    return part


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (POST + b"content-length: 1\r\ncontent-length: 1\r\n\r\na", "Duplicate Content-Length"),
        (POST + b"content-length: 1, 1\r\n\r\na", "Content-Length"),
        (POST + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "can't be present with Content-Length"),
        (POST + b"transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n", "can't be present with Transfer-Encoding"),
        (POST + b"transfer-encoding: gzip\r\n\r\n", "invalid `Transfer-Encoding`"),
        (POST + b"transfer-encoding: chunked, identity\r\n\r\n", "`Transfer-Encoding`"),
        (POST + b"content-length : 1\r\n\r\na", "header field"),
        (POST + b"content-length: 99999999999999999999\r\n\r\n", "overflow"),
        (CHUNKED + b"1\na\n0\n\n", "after chunk size"),
        (CHUNKED + b"-1\r\n", "chunk size"),
        (CHUNKED + b"1\r\nab", "chunk data"),
        (b"GET / HTTP/1.1\nhost: x\n\n", "CRLF"),
        (b"GET / HTTP/1.1\r\nhost: x\rfoo: y\r\n\r\n", "LF"),
        (GET + b" folded: y\r\n\r\n", "whitespace"),
        (GET + b"x: \0\r\n\r\n", "header value"),
        (GET + b"host: y\r\n\r\n", "two Host headers"),
        (b"GET / HTTP/1.1\r\n\r\n", "no Host header"),
        (b"GET / HTTP/2.0\r\nhost: x\r\n\r\n", "HTTP/2.0; accepted: HTTP/1.1, HTTP/1.0"),
        (b"GET /\r\n\r\n", "HTTP/0.9; accepted"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI"),
        (b"get / HTTP/1.1\r\nhost: x\r\n\r\n", "method"),
        (b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", "url"),
    ],
)
def test_what_could_be_read_in_two_ways_is_no_request(data: bytes, reason: str) -> None:
    for size in (PIECE, 1):
        with pytest.raises(NotHTTP, match="not a valid HTTP request: ") as raised:
            parsed(data, size)
        assert raised.value.status == 400 and reason in raised.value.reason


@pytest.mark.parametrize("size", [1, 2, 7, PIECE])
def test_requests_are_the_same_however_their_bytes_arrive(size: int) -> None:
    data = (
        b"\r\n"
        + POST
        + b"X-A: 1\r\ncontent-length: 3\r\n\r\nabc"
        + CHUNKED
        + b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        + GET
    )
    first, second = parsed(data, size).requests

    assert (first.method, first.path, first.headers[b"x-a"], body(first)) == ("POST", "/predict", b"1", b"abc")
    assert body(second) == b"abc"


def test_what_follows_a_body_does_not_change_the_headers() -> None:
    (request,) = parsed(CHUNKED + b"0\r\nauthorization: Bearer x\r\n\r\n").requests

    assert request.is_complete and b"authorization" not in request.headers


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 2 * MAX_HEADER,
        GET + b"a" * 2 * MAX_HEADER,
        GET + b"a: b\r\n" * MAX_HEADER,
        CHUNKED + b"1;" + b"a" * 2 * MAX_HEADER,
        CHUNKED + b"0\r\n" + b"a: b\r\n" * MAX_HEADER,
        CHUNKED + b"0\r\na: " + b"a" * 2 * MAX_HEADER,
        b"\r\n" * MAX_HEADER,
    ],
)
def test_what_is_kept_besides_a_body_is_bounded(data: bytes) -> None:
    for size in (PIECE, 100):
        with pytest.raises(NotHTTP, match=f"the header is longer than {MAX_HEADER} bytes") as raised:
            parsed(data, size)
        assert raised.value.status == 431


def test_a_header_of_the_greatest_size_is_read_wherever_it_begins() -> None:
    line = b"a: " + b"a" * (MAX_HEADER - len("/") - len("host") - len("x") - 4 - len("a") - 4) + b"\r\n\r\n"
    for before in (0, 1, 100):
        assert len(parsed((GET + b"\r\n") * before + GET + line).requests) == before + 1
    with pytest.raises(NotHTTP):
        parsed(GET + b"a" + line)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/predict", "/predict"),
        ("/predict?a=/b", "/predict"),
        ("/pre%64ict", "/predict"),
        ("http://x:80/predict?a", "/predict"),
        ("http://x", "/"),
        ("*", "*"),
    ],
)
def test_the_path_is_without_host_and_query(target: str, path: str) -> None:
    (request,) = parsed(GET.replace(b"/", target.encode(), 1) + b"\r\n").requests
    assert (request.path, request.target) == (path, target)


@pytest.mark.parametrize(
    "framed", [b"content-length: 3\r\n\r\nabc", b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("size", [1, PIECE])
def test_the_body_of_a_request_that_offers_another_protocol_is_read_and_nothing_behind_it(
    framed: bytes, size: int
) -> None:
    parser = parsed(POST + b"connection: upgrade\r\nupgrade: h2c\r\n" + framed + GET + b"\r\nnonsense", size)

    (request,) = parser.requests
    assert body(request) == b"abc"
    assert request.is_last and parser.is_over


@pytest.mark.parametrize("headers", [b"connection: close\r\n", b"connection: upgrade\r\nupgrade: websocket\r\n"])
def test_nothing_is_read_behind_the_last_request(headers: bytes) -> None:
    for version in (b"1.1", b"1.0"):
        parser = parsed(GET.replace(b"1.1", version) + headers + b"\r\n" + GET + b"\r\nnonsense")
        assert len(parser.requests) == 1 and parser.is_over


def test_only_a_client_of_this_version_waits_to_be_told_to_go_on() -> None:
    head = POST + b"expect: 100-Continue\r\ncontent-length: 1\r\n\r\n"

    assert [it.waits for it in parsed(head).requests] == [True]
    assert [it.waits for it in parsed(head + b"a").requests] == [False]
    assert [it.waits for it in parsed(head.replace(b"1.1", b"1.0")).requests] == [False]
