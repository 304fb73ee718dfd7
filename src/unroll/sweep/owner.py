"""Which process works on a trial, and whether it still lives."""

import os
import socket
from typing import Any

import psutil


def this_process() -> dict[str, Any]:
    """What tells this process from every other, also from a later one with the same number."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def is_alive(owner: dict[str, Any]) -> bool:
    """Whether that process runs; one of another host cannot be looked at, and is believed to."""
    if owner["host"] != socket.gethostname():
        return True
    try:
        process = psutil.Process(owner["pid"])
        return process.create_time() == owner["started"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
