"""A Hugging Face Hub on this machine: the part of its HTTP API that downloads a dataset."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

from unroll.files import sha256

NEW = "b" * 40  # the commit that `main` stands for
SILENCE_SECONDS = 20.0


@dataclass
class Hub:
    """Serves folders as dataset repositories: `repositories[name][commit]`, with `main` standing for NEW."""

    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    endpoint: str = ""
    broken: int | None = None  # this HTTP status is the answer to everything
    silent: bool = False  # takes a connection and says nothing

    @contextmanager
    def serving(self) -> Iterator["Hub"]:
        """Serve, at `endpoint`, for as long as the block lasts."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(*hub.find(self.path))

            def do_GET(self) -> None:
                if hub.silent:
                    time.sleep(SILENCE_SECONDS)
                body = self.answer(*hub.find(self.path))
                self.wfile.write(body)

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> bytes:
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                return body

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def find(self, target: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to a request for `target`, a path or (to a proxy) a whole URL."""
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
                        "oid": sha256(file)[:40],
                        "size": file.stat().st_size,
                        "path": str(file.relative_to(folder)),
                    }
                    for file in files
                ]
            )
        file = folder.joinpath(*parts[5:])
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{sha256(file)[:40]}"'}, file.read_bytes()


def _json(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()
