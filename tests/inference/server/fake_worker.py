"""What the supervisor needs of a worker, without libraries: answers each connection with its process and version.

A model cannot be loaded if its config.json contains "bad"; the process ends at once if it contains "crash", or names as
"once" a file that exists, which it deletes.
"""

import json
import os
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

control, channel = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
lines, version = control.makefile(), ""


def tell(**message: Any) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def end(number: int, frame: Any) -> None:
    tell(draining=True)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
while True:
    ready, _, _ = select.select([control, channel], [], [])
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
    else:
        place, descriptors, _, _ = socket.recv_fds(channel, 4, 1)
        if not place:  # there are no more
            end(0, None)
        with socket.socket(fileno=descriptors[0]) as connection:
            connection.sendall(f"{os.getpid()} {version}".encode())
            connection.shutdown(socket.SHUT_RDWR)
        tell(closed=struct.unpack("I", place))
