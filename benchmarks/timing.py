"""Timing side by side: the runs take turns, so that whatever else the machine does falls on all of them alike."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

Run = Callable[[], float]  # works once; returns the seconds that one unit of its work took

ROUNDS = 5
SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        other: what `theirs` is of; None where nothing is compared.
        ratio: how many times as good as theirs ours is.
        repeats: how many timings each figure is the median of; 1 where nothing is timed.
    """

    name: str
    ours: float
    unit: str
    other: str | None = None
    theirs: float | None = None
    ratio: float | None = None
    repeats: int = 1


class Medians(NamedTuple):
    """Seconds by run, in the order of the runs, and the number of timings behind each."""

    seconds: list[float]
    repeats: int


def alternate(*runs: Run, seconds: float = SECONDS) -> Medians:
    """Call the runs in turn, `ROUNDS` times, and then until `seconds` are over; a first round is not counted."""
    for run in runs:
        run()
    samples: list[list[float]] = []
    start = time.perf_counter()
    while len(samples) < ROUNDS or time.perf_counter() - start < seconds:
        samples.append([run() for run in runs])
    return Medians([median(column) for column in zip(*samples, strict=True)], len(samples))


def timed(work: Callable[[], object], units: int = 1) -> Run:
    """The run that does `work`, which is so many units."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) / units

    return run


def time_row(name: str, other: str, medians: Medians) -> Row:
    """From our seconds and theirs, in milliseconds."""
    ours, theirs = medians.seconds
    return Row(name, 1e3 * ours, "ms", other, 1e3 * theirs, theirs / ours, medians.repeats)


def rate_row(name: str, unit: str, other: str, medians: Medians) -> Row:
    """From our seconds for a unit and theirs, in units a second."""
    ours, theirs = medians.seconds
    return Row(name, 1 / ours, f"{unit}/s", other, 1 / theirs, theirs / ours, medians.repeats)
