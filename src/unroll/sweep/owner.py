"""Which process works on a trial, and whether it still lives."""

import os
import socket
from typing import Any

import psutil

TOLERANCE = 5  # seconds: when a process began is said by the clock, and moves as that is set


def this_process() -> dict[str, Any]:
    """What tells this process from every other, also from a later one with the same number."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def is_here(owner: dict[str, Any]) -> bool:
    """Whether it is, or was, a process of this machine, which alone can be looked at."""
    return bool(owner["host"] == socket.gethostname())


def is_alive(owner: dict[str, Any]) -> bool:
    """Whether that process of this machine runs."""
    try:
        process = psutil.Process(owner["pid"])
        is_same = abs(process.create_time() - owner["started"]) < TOLERANCE
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
