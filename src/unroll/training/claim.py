"""One process at a time that trains in a run folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = "lock"  # in the folder of checkpoints; a process that dies lets it go


@contextmanager
def claimed(output: Path) -> Iterator[None]:
    """Let no other process train in `output`.

    Raises:
        ValueError: another one does.
    """
    lock = FileLock(output / "checkpoints" / LOCK)  # makes the folder
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ValueError(f"output={output} is being trained by another process; accepted: another folder") from error
    try:
        yield
    finally:
        lock.release()


def is_claimed(output: Path) -> bool:
    """Whether a process trains in `output`."""
    if not (output / "checkpoints" / LOCK).exists():
        return False
    try:
        with claimed(output):
            return False
    except ValueError:
        return True
