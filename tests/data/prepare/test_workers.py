"""Reading in several processes."""

import warnings
from itertools import islice

import pytest
from joblib import delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from tests.work import square
from unroll.data.prepare.workers import in_processes


@pytest.mark.parametrize(("processes", "is_little"), [(None, True), (2, False)])
def test_results_come_in_order(processes: int | None, is_little: bool) -> None:
    with parallel_config(backend="threading"):  # starting processes takes seconds
        found = in_processes((delayed(square)(i) for i in range(9)), processes, is_little)
        assert list(found) == [i**2 for i in range(9)]


def test_results_that_are_not_wanted_any_more_are_left_without_a_warning() -> None:
    with warnings.catch_warnings(), parallel_config(backend="threading"):
        warnings.simplefilter("error")
        found = in_processes((delayed(square)(i) for i in range(100)), 2, is_little=False)
        assert list(islice(found, 3)) == [0, 1, 4]
        found.close()  # type: ignore[attr-defined]


def kill(number: int) -> int:
    raise TerminatedWorkerError


def test_a_killed_process_is_named() -> None:
    tasks = (delayed(kill)(i) for i in range(3))
    with pytest.raises(ValueError, match="processes=3: a process was killed; accepted: fewer"):
        list(in_processes(tasks, 3, is_little=True))
