"""PostgreSQL, started for a test on a free loopback port."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def postgres() -> Iterator[str]:
    """A new database; its URI. PostgreSQL refuses to run as root, so that another user runs it then."""
    binaries, port = POSTGRES[-1].parent, free_port()
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="unroll-") as work:
        if user:
            shutil.chown(work, "postgres")
        data = f"{work}/data"
        initdb = [binaries / "initdb", "--pgdata", data, "--username=mlflow", "--auth=trust", "--no-sync"]
        subprocess.run([*user, *initdb], cwd=work, check=True, capture_output=True)
        options = f"-h 127.0.0.1 -p {port} -k {work} -F"
        control = [*user, binaries / "pg_ctl", "--pgdata", data, "--wait"]
        start = [*control, "--log", f"{work}/log", "--options", options, "start"]
        subprocess.run(start, cwd=work, check=True, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "--mode=immediate", "stop"], cwd=work, check=True, stdout=subprocess.DEVNULL)
