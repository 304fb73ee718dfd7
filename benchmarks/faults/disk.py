"""Fills the disk, or makes it read-only, while a command runs; then the same command must go on."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.damage import UNCLEAR, Outcome
from benchmarks.faults.workplace import Ended, Start, Workplace

ROOM = 64 << 20
FREE = (0, 8 << 10, 40 << 10, 160 << 10)  # bytes that are left on the full disk

WRITING = ("download", "prepare", "train", "evaluate", "compare", "drift")


def disk_faults(starts: dict[str, Start], folder: Path, commands: Sequence[str]) -> Iterator[Outcome]:
    """Run each command on a disk with little room left, and on a read-only one; then once more without the fault."""
    mountable = _can_mount(folder / "probe")
    for name in WRITING:
        if name not in commands:
            continue
        start = starts[name]
        for free in FREE:
            if mountable:
                with _small_disk(folder / "disk") as disk:
                    work = start.work.copy(disk / "case")
                    filler = disk / "filler"
                    _fill(filler, free)
                    ended = work.run(start.command)
                    filler.unlink()
                    yield _outcome(name, "full disk", ended, work, start)
            else:
                work = start.work.copy(folder / "case")
                ended = work.run(start.command, _limit(free))
                yield _outcome(name, "file size limit", ended, work, start)
                shutil.rmtree(work.root)
        if mountable:
            with _small_disk(folder / "disk") as disk:
                work = start.work.copy(disk / "case")
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
                ended = work.run(start.command)
                subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
                yield _outcome(name, "read-only disk", ended, work, start)


def _outcome(name: str, fault: str, ended: Ended, work: Workplace, start: Start) -> Outcome:
    printed = ended.printed
    if "Traceback" in printed:
        return Outcome(name, fault, "TRACEBACK", False, "", printed)
    if ended.status == 0 and not start.is_expected(work):
        return Outcome(name, fault, "SILENT CHANGE", False, "", printed)
    if UNCLEAR.search(printed) or (ended.status and "error: " not in printed and "cannot" not in printed):
        return Outcome(name, fault, "UNCLEAR MESSAGE", False, "", printed)
    again = work.run(start.command)
    if again.status or not start.is_expected(work):
        return Outcome(name, fault, "LOSS", False, "", printed + again.printed)
    what = "named and refused; went on afterwards" if ended.status else "enough room, same result"
    return Outcome(name, fault, what, True, "", printed)


def _can_mount(folder: Path) -> bool:
    try:
        with _small_disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)], check=True, capture_output=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(filler: Path, free: int) -> None:
    """Occupy the disk but for `free` bytes."""
    facts = os.statvfs(filler.parent)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, facts.f_bavail * facts.f_frsize - free))


def _limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (max(1, size), resource.RLIM_INFINITY))
