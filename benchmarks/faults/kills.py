"""Kills a training at random moments, and lets it resume until it ends."""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.damage import Outcome
from benchmarks.faults.workplace import TRAIN, Workplace

COMMAND = TRAIN.replace("=4", "=60")  # epochs, so that most of the time is spent in training


def kill_trainings(start: Workplace, folder: Path, kills: int, draw: random.Random) -> Iterator[Outcome]:
    """Kill a training `kills` times with SIGKILL; whenever it ends, compare its results and begin another one.

    The moments are uniform in the time that an undisturbed training takes.
    """
    work = start.copy(folder / "timed")
    begin = time.perf_counter()
    work.ok(COMMAND)
    duration, expected = time.perf_counter() - begin, work.results("train")
    shutil.rmtree(work.root)
    done = 0
    while done < kills:
        work = start.copy(folder / "killed")
        while True:
            process = work.start(COMMAND)
            time.sleep(draw.uniform(0, duration) if done < kills else 0)
            was_running = done < kills and process.poll() is None
            if was_running:
                process.kill()
            printed, _ = process.communicate()
            resumed = "resuming from the last checkpoint" in printed
            if "Traceback" in printed:
                yield Outcome("train", "killed", "TRACEBACK", False, "", printed)
            if "damaged" in printed:
                yield Outcome("train", "killed", "LOSS", False, "", printed)
            if was_running:
                done += 1
                yield Outcome("train", "killed", "killed after resuming" if resumed else "killed", True, "", printed)
                continue
            equal = process.returncode == 0 and work.results("train") == expected
            what = ("ended after resuming, same result" if resumed else "ended, same result") if equal else "LOSS"
            yield Outcome("train", "not killed", what, equal, "", printed)
            break
        shutil.rmtree(work.root)
