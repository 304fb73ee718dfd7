"""Work for processes: functions at module level, which can be pickled."""

import os
import signal
import sys
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
            signal.pause()
    except KeyboardInterrupt:
        Path(f"{file}.interrupted").touch()
        raise


def wait_for_file(file: str) -> str:
    """Write a file with the process id, and wait for another file."""
    Path(f"{file}.started").write_text(str(os.getpid()))
    while not Path(file).exists():
        signal.sigtimedwait([], 0.05)
    Path(f"{file}.done").touch()
    return file


if __name__ == "__main__":  # a caller that can be killed
    from unroll.plan.side_by_side import side_by_side

    for told in side_by_side(wait_for_file, sys.argv[1:], 1):
        print(told, flush=True)
