"""Work for processes: functions at module level, which can be pickled."""

import os
import signal
import sys
import time
from pathlib import Path


def square(number: int) -> int:
    print(f"squaring {number}")
    print("no end of line", end="")
    return number**2


def refuse_odd(number: int) -> int:
    if number % 2:
        raise ValueError(f"number={number}; accepted: even numbers")
    return number


def divide(number: int) -> float:
    return 1 / number


def die_of_zero(number: int) -> int:
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def wait_for_ever(file: str) -> None:
    """Write a file with the process id, and another one on an interruption."""
    try:
        Path(file).write_text(str(os.getpid()))
        print("waiting")
        while True:
            time.sleep(0.05)  # not `signal.pause`, which misses a signal that comes just before it
    except KeyboardInterrupt:
        Path(f"{file}.interrupted").touch()
        raise


def end_in_order(file: str) -> None:
    """Wait to be interrupted, and take a while to leave a file."""
    try:
        Path(f"{file}.started").write_text(str(os.getpid()))
        while True:
            time.sleep(0.05)  # not `signal.pause`, which misses a signal that comes just before it
    except KeyboardInterrupt:
        for _ in range(20):
            time.sleep(0.05)  # what a second signal would interrupt
        Path(f"{file}.ended").touch()
        raise


def wait_for_file(file: str) -> str:
    """Write a file with the process id, and wait for another file."""
    Path(f"{file}.started").write_text(str(os.getpid()))
    while not Path(file).exists():
        time.sleep(0.05)
    Path(f"{file}.done").touch()
    return file


if __name__ == "__main__":  # a caller that can be killed
    from unroll.side_by_side import side_by_side

    work, *files = sys.argv[1:]
    processes = len(files) if work == "end_in_order" else 1
    for told in side_by_side({"end_in_order": end_in_order, "wait_for_file": wait_for_file}[work], files, processes):
        print(told, flush=True)
