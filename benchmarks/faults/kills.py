"""Kills a training at random moments, and lets it resume until it ends."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.faults.damage import Outcome
from benchmarks.faults.results import checksum
from benchmarks.faults.workplace import Start
from benchmarks.faults.workplaces import TRAIN

COMMAND = TRAIN.replace("=4", "=60")  # epochs, so that most of the time is spent in training
RESUMED = "killed after resuming", "ended after resuming, same result"
LEAST = 0.4  # of the kills, how many must be followed by resuming, so that the campaign shows anything


def kill_trainings(start: Start, folder: Path, kills: int, draw: random.Random) -> Iterator[Outcome]:
    """Kill a training `kills` times with SIGKILL; whenever it ends, compare its results and begin another one.

    The moments are uniform in the time that an undisturbed training takes.
    """
    work = start.work.copy(folder / "timed")
    begin = time.perf_counter()
    work.ok(COMMAND)
    duration, expected = time.perf_counter() - begin, checksum(start.results, work.root)
    shutil.rmtree(work.root)
    done = 0
    while done < kills:
        work = start.work.copy(folder / "killed")
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
            equal = process.returncode == 0 and checksum(start.results, work.root) == expected
            what = ("ended after resuming, same result" if resumed else "ended, same result") if equal else "LOSS"
            yield Outcome("train", "not killed", what, equal, "", printed)
            break
        shutil.rmtree(work.root)


def kill_summary(outcomes: Sequence[Outcome]) -> tuple[str, bool]:
    """The figures of `kill_trainings` in a line, and whether nothing was lost and enough trainings resumed."""
    counts = Counter(it.what for it in outcomes)
    kills = sum(it.fault == "killed" and it.is_good for it in outcomes)
    resumed = sum(counts[what] for what in RESUMED)
    ended = [it for it in outcomes if it.fault == "not killed"]
    line = (
        f"{kills} kills: {resumed} trainings resumed from a checkpoint ({LEAST * kills:.0f} or more are wanted), "
        f"{counts['LOSS']} lost; {sum(it.is_good for it in ended)} of {len(ended)} that ended have the weights, the "
        "history and the facts of the undisturbed one"
    )
    return line, all(it.is_good for it in outcomes) and resumed >= LEAST * kills
