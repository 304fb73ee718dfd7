import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.work import die_of_zero, divide, refuse_odd, square, wait_for_ever
from unroll.side_by_side import Done, Line, _Worker, side_by_side


def results(work: Callable[[Any], Any], items: Sequence[Any], processes: int) -> dict[int, Done]:
    told = side_by_side(work, items, processes)
    return {one.index: one for one in told if isinstance(one, Done)}


def wait_for(file: Path) -> str:
    while not (file.exists() and file.read_text()):
        time.sleep(0.02)
    return file.read_text()


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_item_has_its_result(processes: int) -> None:
    done = results(square, [1, 2, 3], processes)
    assert {index: one.result for index, one in done.items()} == {0: 1, 1: 4, 2: 9}


def test_what_is_printed_comes_line_by_line_with_its_item() -> None:
    told = list(side_by_side(square, [3], 1))
    assert told == [Line(0, "squaring 3"), Line(0, "no end of line"), Done(0, 9)]


def test_a_mistake_ends_its_own_item_with_one_line() -> None:
    done = results(refuse_odd, [1, 2], 1)
    assert done == {0: Done(0, error="number=1; accepted: even numbers"), 1: Done(1, 2)}


def test_a_bug_ends_its_own_item_with_a_traceback() -> None:
    done = results(divide, [0, 1], 2)
    assert "Traceback" in str(done[0].error)
    assert "ZeroDivisionError" in str(done[0].error)
    assert done[1].result == 1


def test_an_item_whose_process_is_killed_is_an_error_and_the_others_are_done() -> None:
    done = results(die_of_zero, [1, 0, 2], 1)
    assert done[1].error == "its process was killed by signal 9 (out of memory?)"
    assert done[0].result is not None
    assert done[2].result not in (None, done[0].result)  # by a new process


def test_processes_are_used_again() -> None:
    done = results(die_of_zero, [1, 2, 3], 1)
    assert len({one.result for one in done.values()}) == 1


def test_a_caller_that_stops_early_interrupts_the_work(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    told = side_by_side(wait_for_ever, [str(file)], 1)
    assert next(told) == Line(0, "waiting")
    told.close()  # type: ignore[attr-defined]
    assert (tmp_path / "pid.interrupted").exists()
    assert not psutil.pid_exists(int(file.read_text()))


@pytest.mark.parametrize("step", ["start", "give"])
def test_an_interruption_just_after_a_process_has_work_ends_it(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, original = tmp_path / "pid", getattr(_Worker, step)

    def interrupted(worker: _Worker, *item: Any) -> None:
        original(worker, *item)
        if step == "give":
            wait_for(file)
        raise KeyboardInterrupt

    others = set(multiprocessing.active_children())  # such as joblib's, of other tests in this process
    monkeypatch.setattr(_Worker, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(side_by_side(wait_for_ever, [str(file)], 1))
    assert set(multiprocessing.active_children()) <= others


def test_a_killed_callers_process_finishes_its_item_and_ends(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    command = [sys.executable, "-m", "tests.work", "wait_for_file", str(first), str(second)]
    caller = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    worker = psutil.Process(int(wait_for(Path(f"{first}.started"))))
    os.kill(caller.pid, signal.SIGKILL)
    caller.wait()
    first.touch()
    worker.wait()
    assert Path(f"{first}.done").exists()
    assert not Path(f"{second}.started").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_lets_each_end_its_work_in_order(tmp_path: Path, number: signal.Signals) -> None:
    files = [tmp_path / name for name in ("first", "second")]
    command = [sys.executable, "-m", "tests.work", "end_in_order", *map(str, files)]
    caller = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    workers = [psutil.Process(int(wait_for(Path(f"{file}.started")))) for file in files]
    os.killpg(caller.pid, number)
    caller.wait()
    psutil.wait_procs(workers)
    if number == signal.SIGINT:  # a caller without a handler of its own dies of SIGTERM
        assert all(Path(f"{file}.ended").exists() for file in files)
    assert not any(worker.is_running() for worker in workers)
