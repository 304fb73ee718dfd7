"""What the supervisor needs of a worker, without libraries: answers each connection with its process and version.

A model cannot be loaded if its config.json contains "bad"; the process ends at once if it contains "crash", or names as
"once" a file that exists, which it deletes.
"""

import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

control, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
lines, version = control.makefile(), ""


def tell(**message: Any) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def end(number: int, frame: Any) -> None:
    tell(draining=True)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
while True:
    # The listener is not ready before there is a model.
    ready, _, _ = select.select([control, listener] if version else [control], [], [])
    if control in ready:
        line = lines.readline()
        if not line:
            os._exit(0)
        model = json.loads(line)["model"]
        content = Path(model["folder"], "config.json").read_text()
        once = json.loads(content).get("once") if content.startswith("{") else None
        if "crash" in content or (once and os.path.exists(once)):
            if once:
                os.unlink(once)
            os._exit(3)
        if "bad" in content:
            tell(failed=model["version"], reason="bad weights")
            if not version:
                os._exit(0)
        else:
            version = model["version"]
            tell(loaded=version)
    elif listener in ready:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:  # another worker has it
            continue
        connection.sendall(f"{os.getpid()} {version}".encode())
        connection.close()
