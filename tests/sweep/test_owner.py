import json
import subprocess
import sys

from unroll.sweep.owner import is_alive, is_here, this_process


def test_this_process_is_alive() -> None:
    assert is_alive(this_process())


def test_a_process_that_ended_is_not() -> None:
    code = "import json; from unroll.sweep.owner import this_process; print(json.dumps(this_process()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not is_alive(json.loads(done.stdout))


def test_a_later_process_with_the_same_number_is_another() -> None:
    assert not is_alive(this_process() | {"started": 1.0})


def test_a_clock_that_was_set_by_a_little_does_not_make_another_process() -> None:
    owner = this_process()
    assert is_alive(owner | {"started": owner["started"] - 2})


def test_a_process_of_another_host_is_not_here() -> None:
    assert is_here(this_process())
    assert not is_here(this_process() | {"host": "elsewhere"})
