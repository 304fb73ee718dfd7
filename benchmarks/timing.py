"""Timing of alternating runs, so that other load on the machine affects all of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

Run = Callable[[], float]  # does some work; returns the seconds per unit of work

ROUNDS = 5  # at least
SECONDS = 1.0  # at least


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        name: what is measured.
        ours: the package's value.
        unit: of the values.
        other: the implementation compared with, if any.
        theirs: its value.
        ratio: how many times better the package is.
        repeats: the number of timings that the values are medians of; 1 if nothing is timed.
    """

    name: str
    ours: float
    unit: str
    other: str | None = None
    theirs: float | None = None
    ratio: float | None = None
    repeats: int = 1


class Medians(NamedTuple):
    """The median seconds of each run, in order, and the number of timings of each."""

    seconds: list[float]
    repeats: int


def alternate(*runs: Run, seconds: float = SECONDS) -> Medians:
    """Time the runs alternately, at least `ROUNDS` times and for `seconds`, after one round that is not timed."""
    for run in runs:
        run()
    samples: list[list[float]] = []
    start = time.perf_counter()
    while len(samples) < ROUNDS or time.perf_counter() - start < seconds:
        samples.append([run() for run in runs])
    return Medians([median(column) for column in zip(*samples, strict=True)], len(samples))


def timed(work: Callable[[], object], units: int = 1) -> Run:
    """A run that calls `work`, which does `units` units of work."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) / units

    return run


def time_row(name: str, other: str, medians: Medians) -> Row:
    """A row in milliseconds, from the medians of our run and theirs."""
    ours, theirs = medians.seconds
    return Row(name, 1e3 * ours, "ms", other, 1e3 * theirs, theirs / ours, medians.repeats)


def rate_row(name: str, unit: str, other: str, medians: Medians) -> Row:
    """A row in units per second, from the medians of our run and theirs."""
    ours, theirs = medians.seconds
    return Row(name, 1 / ours, f"{unit}/s", other, 1 / theirs, theirs / ours, medians.repeats)
