"""Starts a server in processes of its own, and measures them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.serving.client import Address


@dataclass(frozen=True)
class Server:
    """A running ``unroll serve``."""

    process: "subprocess.Popen[str]"
    address: Address

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def cpu_seconds(self) -> float:
        """The processor time of all its processes, since they began."""
        return sum(sum(it.cpu_times()[:2]) for it in (psutil.Process(self.process.pid), *self.workers()))

    def memory(self) -> float:
        """The resident memory of the largest worker, in MiB."""
        return max(it.memory_info().rss for it in self.workers()) / 2**20


@contextmanager
def serving(model: Path, *options: str) -> Iterator[Server]:
    """Serve a model at a free port of this machine."""
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
