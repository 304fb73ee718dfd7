"""A local Hugging Face Hub with the part of the HTTP API that downloads a dataset."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

from unroll.files import sha256

OLD = "a" * 40
NEW = "b" * 40  # the commit of `main`

Fault = Callable[[BaseHTTPRequestHandler, dict[str, str], bytes], None]  # sends faulty headers and body


@dataclass
class Hub:
    """Serves folders as dataset repositories, `repositories[name][commit]`; `main` is the commit NEW."""

    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    endpoint: str = ""
    broken: int | None = None  # HTTP status of all responses
    silent: bool = False  # accepts connections but sends nothing
    faults: dict[str, list[Fault]] = field(default_factory=dict)  # for the next GETs of a file, or of "revision"
    token: str | None = None  # required in requests
    closing: Event = field(default_factory=Event)
    requests: list[str] = field(default_factory=list)  # such as "GET train.parquet"

    @contextmanager
    def serving(self) -> Iterator["Hub"]:
        """Serve at `endpoint` during the block."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_HEAD(self) -> None:
                status, headers, body = self.found()
                send_head(self, status, headers, len(body))

            def do_GET(self) -> None:
                if hub.silent:
                    hub.requests.append(f"GET {self.subject()}")
                    hub.closing.wait()
                    return
                status, headers, body = self.found()
                faults = hub.faults.get(self.subject()) if status == 200 else None
                if status == 200 and "Range" in self.headers:
                    start = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
                    headers = headers | {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
                    status, body = 206, body[start:]
                if faults:
                    faults.pop(0)(self, headers, body)
                else:
                    send_head(self, status, headers, len(body))
                    self.wfile.write(body)

            def found(self) -> tuple[int, dict[str, str], bytes]:
                hub.requests.append(f"{self.command} {self.subject()}")
                if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                    return 401, {}, b""
                return hub.find(self.path)

            def subject(self) -> str:
                parts = urlsplit(self.path).path.split("/")
                return parts[5] if parts[1] == "api" else parts[-1]

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.closing.set()
            server.shutdown()
            server.server_close()

    def find(self, target: str) -> tuple[int, dict[str, str], bytes]:
        """The status, headers and body of the response for `target`, a path or, for a proxy, a whole URL."""
        if self.broken:
            return self.broken, {}, b""
        parts = unquote(urlsplit(target).path).strip("/").split("/")
        if parts[0] == "api":
            _, _, owner, name, kind, revision = parts[:6]
        else:
            _, owner, name, kind, revision = parts[:5]
        repository = self.repositories.get(f"{owner}/{name}")
        if repository is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        commit = NEW if revision == "main" else revision
        if commit not in repository:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        folder = repository[commit]
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        if kind == "revision":
            siblings = [{"rfilename": str(file.relative_to(folder))} for file in files]
            return _json({"id": f"{owner}/{name}", "sha": commit, "siblings": siblings})
        if kind == "tree":
            return _json(
                [
                    {
                        "type": "file",
                        "oid": git_checksum(file),
                        "size": file.stat().st_size,
                        "path": str(file.relative_to(folder)),
                    }
                    for file in files
                ]
            )
        file = folder.joinpath(*parts[5:])
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        etag = sha256(file) if file.suffix == ".parquet" else git_checksum(file)  # as the Hub: SHA-256 for large files
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        return 200, headers, file.read_bytes()


def send_head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], length: int) -> None:
    handler.send_response(status)
    for name, value in (headers | {"Content-Length": str(length)}).items():
        handler.send_header(name, value)
    handler.end_headers()


def git_checksum(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def refuse(status: int, **headers: str) -> Fault:
    def fault(handler: BaseHTTPRequestHandler, _: dict[str, str], __: bytes) -> None:
        send_head(handler, status, {name.replace("_", "-"): value for name, value in headers.items()}, 0)

    return fault


def drop(handler: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> None:
    """Close the connection in mid-file."""
    send_head(handler, 206 if "Content-Range" in headers else 200, headers, len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.connection.close()


def truncate(handler: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> None:
    """Send half of the file as if it were complete."""
    send_head(handler, 200, headers, len(body) // 2)
    handler.wfile.write(body[: len(body) // 2])


def corrupt(handler: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> None:
    """Invert bits in the middle of the file."""
    middle = len(body) // 2
    send_head(handler, 200, headers, len(body))
    handler.wfile.write(body[:middle] + bytes(255 - byte for byte in body[middle : middle + 64]) + body[middle + 64 :])


def trickle(handler: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> None:
    """Send a byte every half second until the client disconnects."""
    send_head(handler, 200, headers, len(body))
    try:
        for byte in body:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.5)
    except OSError:
        pass  # the client has disconnected


def _json(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()
