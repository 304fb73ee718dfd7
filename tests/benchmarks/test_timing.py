import time
from collections.abc import Callable

import pytest

from benchmarks.timing import Medians, Row, Run, alternate, rate_row, time_row, timed


def scripted(name: str, seconds: list[float], calls: list[str]) -> Run:
    """A run that appends its name to `calls` and returns the next of `seconds`."""
    remaining = iter(seconds)

    def run() -> float:
        calls.append(name)
        return next(remaining)

    return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that stands still; the fixture's function advances it."""
    now = 0.0

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    return advance


def test_runs_take_turns() -> None:
    calls: list[str] = []
    alternate(scripted("ours", [1.0] * 9, calls), scripted("theirs", [1.0] * 9, calls), seconds=0)
    assert calls == ["ours", "theirs"] * 6  # the first round warms up


def test_figures_are_medians_without_the_first_round() -> None:
    ours = scripted("ours", [100, 5, 1, 4, 2, 90], [])
    theirs = scripted("theirs", [0, 8, 8, 7, 9, 0], [])
    assert alternate(ours, theirs, seconds=0) == Medians([4, 8], repeats=5)


def test_short_runs_are_repeated_until_the_time_is_over(clock: Callable[[float], None]) -> None:
    medians = alternate(timed(lambda: clock(0.25)), seconds=2)
    assert medians == Medians([0.25], repeats=8)


def test_time_is_of_one_unit(clock: Callable[[float], None]) -> None:
    assert timed(lambda: clock(6.0), units=4)() == 1.5


def test_less_time_is_a_ratio_above_one() -> None:
    expected = Row("step", ours=20.0, unit="ms", other="packed", theirs=60.0, ratio=3.0, repeats=7)
    assert time_row("step", "packed", Medians([0.02, 0.06], repeats=7)) == expected


def test_a_higher_rate_is_a_ratio_above_one() -> None:
    expected = Row("epoch", ours=50.0, unit="tokens/s", other="packed", theirs=10.0, ratio=5.0, repeats=7)
    assert rate_row("epoch", "tokens", "packed", Medians([0.02, 0.1], repeats=7)) == expected
