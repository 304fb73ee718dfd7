"""A local MLflow server that can be killed, restarted, and made to hang."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.postgresql import free_port


class TrackingServer:
    """`mlflow server` with a sqlite database and artifacts in `folder`; a context manager that starts and ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "TrackingServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server, and wait until it responds."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        stores = ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        stores += ["--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1"]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # which starts more processes
        quiet: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([*command, *stores], cwd=self.folder, start_new_session=True, **quiet)
        deadline = time.monotonic() + 1800
        while not self._answers():
            assert time.monotonic() < deadline and self.process.poll() is None, "the MLflow server does not start"
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill the server, so that it refuses connections."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def hang(self) -> None:
        """Let the server accept requests without responding."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.address}/health", timeout=30).close()
        except OSError:
            return False
        return True
