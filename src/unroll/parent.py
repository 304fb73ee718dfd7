"""Ends a stage with the `dvc` that runs it.

DVC passes no signal on: after ``docker stop`` or a SIGTERM to ``dvc repro`` alone, its stage would write on.
"""

import os
import signal
import threading
import time
from contextlib import suppress

import psutil

VARIABLE = "DVC_STAGE"  # DVC sets it for what it runs; a command started by hand has no `dvc` to end with


def end_with_dvc() -> None:
    """Send SIGTERM to this process when the `dvc` that runs it as a stage has ended, even if that was killed."""
    if VARIABLE in os.environ:
        threading.Thread(target=_watch, args=(_dvc(),), daemon=True).start()


def _dvc() -> psutil.Process | None:
    """The process that runs this stage, perhaps through shells, which have its variables; None if it has ended."""
    for process in psutil.Process().parents():
        with suppress(psutil.Error):
            if VARIABLE not in process.environ():
                is_init = process.pid == 1 and "dvc" not in " ".join(process.cmdline())
                return None if is_init else process
    return None


def _watch(dvc: psutil.Process | None) -> None:
    with suppress(psutil.NoSuchProcess):
        while dvc is not None and dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
