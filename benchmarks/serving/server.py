"""Starts a server in processes of its own, and measures them."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.client import Address


@dataclass(frozen=True)
class Server:
    """A running ``unroll serve``."""

    process: "subprocess.Popen[str]"
    address: Address

    @property
    def root(self) -> psutil.Process:
        """The supervisor."""
        return psutil.Process(self.process.pid)

    def workers(self) -> list[psutil.Process]:
        return self.root.children()

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.root)

    def memory(self) -> float:
        """The resident memory of the largest worker, in MiB."""
        return max(it.memory_info().rss for it in self.workers()) / 2**20


def cpu_seconds(process: psutil.Process) -> float:
    """The processor time of a process and of those that it has started and that still run, since they began."""
    return float(sum(sum(it.cpu_times()[:2]) for it in (process, *process.children(recursive=True))))


@contextmanager
def serving(model: Path | str, *options: str) -> Iterator[Server]:
    """Serve a model folder or a registered model at a free port of this machine."""
    command = [sys.executable, "-m", "unroll.cli", "serve", str(model), "--port=0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://(.+):(\d+)", line)
        if not found:
            raise RuntimeError(f"{' '.join(command)} ended with status {process.wait()}")
        try:
            yield Server(process, Address(found[1], int(found[2])))
        finally:
            if process.poll() is None:
                process.terminate()


def body_of(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


def post(address: Address, path: str, body: Any) -> tuple[int, Any]:
    """Send one request of JSON; return the status and the content of the answer."""
    kind = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://{address.host}:{address.port}{path}", json.dumps(body).encode(), kind)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
