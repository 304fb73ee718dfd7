"""A stage ends with the `dvc` that runs it; a command started by hand does not."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from unroll import parent
from unroll.exceptions import Terminated, raise_terminated

STAGE = """
import os, sys, time
from pathlib import Path
from unroll.exceptions import Terminated, raise_terminated
from unroll.parent import end_with_dvc

raise_terminated()
end_with_dvc()
try:
    Path("started").write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)
except Terminated:
    Path("ended").touch()
"""


def wait_for(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "shell"), [(signal.SIGTERM, ""), (signal.SIGKILL, "; true")])
def test_a_stage_ends_in_order_when_its_dvc_is_ended(tmp_path: Path, number: signal.Signals, shell: str) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  work:\n    cmd: {sys.executable} stage.py{shell}\n")
    (tmp_path / "stage.py").write_text(STAGE)
    environment = {name: value for name, value in os.environ.items() if name != parent.VARIABLE}
    environment |= {"PYTHONPATH": str(Path(parent.__file__).parents[1])}
    dvc = subprocess.Popen([sys.executable, "-m", "dvc", "repro"], cwd=tmp_path, env=environment)
    wait_for(lambda: (tmp_path / "started").exists() and (tmp_path / "started").read_text())
    stage = psutil.Process(int((tmp_path / "started").read_text()))
    dvc.send_signal(number)
    dvc.wait()
    wait_for(lambda: not stage.is_running())
    assert (tmp_path / "ended").exists()


class Ancestor:
    """Represents a process above this one."""

    def __init__(self, pid: int, command: str, **environment: str) -> None:
        self.pid, self._command, self._environment = pid, command, environment

    def cmdline(self) -> list[str]:
        return self._command.split()

    def environ(self) -> dict[str, str]:
        if self._environment.get("owner") == "other":
            raise psutil.AccessDenied(self.pid)
        return self._environment


SHELL, DVC = Ancestor(8, "sh -c x", DVC_STAGE="train"), Ancestor(7, "dvc repro")


@pytest.mark.parametrize(
    ("ancestors", "expected"),
    [
        ([DVC, Ancestor(5, "bash"), Ancestor(1, "init")], 7),
        ([SHELL, SHELL, DVC, Ancestor(1, "init")], 7),
        ([SHELL, Ancestor(1, "python /bin/dvc repro")], 1),  # in a container
        ([SHELL, Ancestor(1, "/sbin/init")], None),  # dvc has ended before the stage looked
        ([Ancestor(1, "/sbin/init", owner="other")], None),
        ([], None),
    ],
)
def test_the_nearest_process_without_the_variables_of_a_stage_is_its_dvc(
    ancestors: list[Ancestor], expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "parents", lambda process: ancestors)
    found = parent._dvc()
    assert (found and found.pid) == expected


def test_a_command_started_by_hand_watches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(parent.VARIABLE, raising=False)
    before = threading.active_count()
    parent.end_with_dvc()
    assert threading.active_count() == before


@pytest.fixture
def handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_second_sigterm_does_not_interrupt_what_ends(handlers: None) -> None:
    raise_terminated()
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # as Lightning does after a training
    signal.raise_signal(signal.SIGTERM)
