"""Load from wrk, https://github.com/wg/wrk: a closed loop of POST requests over keep-alive connections."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.client import Address

THREADS = 1  # it shares the cores with the server
TIMEOUT = 10  # seconds, after which wrk counts a request as an error

# Sends the lines of a file in turn; prints the sums as JSON when it is done.
SCRIPT = """
local requests, position = {}, 0

function init(arguments)
  local headers = {["Content-Type"] = "application/json"}
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency, all)
  local e = summary.errors
  print(string.format('{"answered": %d, "seconds": %f, "p50": %f, "p99": %f, ' ..
    '"status": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect, e.read, e.write, e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk counted.

    Args:
        answered: requests, whatever the status.
        seconds: that it took.
        p50: milliseconds from a request to its answer; `p99` too.
        status: answers with a status of 400 or more.
        connect: connections that could not be made; `read`, `write`: that ended too early; `timeout`: see TIMEOUT.
    """

    answered: int
    seconds: float
    p50: float
    p99: float
    status: int
    connect: int
    read: int
    write: int
    timeout: int

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds

    @property
    def errors(self) -> int:
        return self.status + self.connect + self.read + self.write + self.timeout

    def __str__(self) -> str:
        kinds = [f"{getattr(self, it)} {it}" for it in ("status", "connect", "read", "write", "timeout")]
        errors = f"{self.errors} errors" + (f" ({', '.join(kinds)})" if self.errors else "")
        return f"{self.rate:,.0f} requests/s, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, {errors}"


def find() -> str:
    """The path of wrk; raises ValueError if it is not installed."""
    path = shutil.which("wrk")
    if path is None:
        raise ValueError("wrk is not installed; to install it: apt-get install wrk (Debian, Ubuntu), brew install wrk")
    return path


def load(address: Address, path: str, bodies: list[bytes], connections: int, seconds: float) -> Load:
    """Send the bodies (JSON without line breaks) in turn, over all connections, each waiting for its answer.

    Args:
        seconds: rounded to whole ones, at least one.

    Raises:
        ValueError: wrk is not installed.
    """
    with tempfile.TemporaryDirectory() as work:
        script, lines = Path(work) / "post.lua", Path(work) / "bodies.jsonl"
        script.write_text(SCRIPT)
        lines.write_bytes(b"".join(body + b"\n" for body in bodies))
        command = [find(), f"--threads={THREADS}", f"--connections={connections}", f"--timeout={TIMEOUT}s"]
        command += [f"--duration={max(1, round(seconds))}s", f"--script={script}"]
        command += [f"http://{address.host}:{address.port}{path}", "--", str(lines)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"wrk ended with status {done.returncode}: {done.stderr or done.stdout}")
    return Load(**json.loads(done.stdout.splitlines()[-1]))
