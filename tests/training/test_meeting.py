"""The processes of a cluster are threads here, whose store is on this machine."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from tests.postgresql import free_port
from unroll.cluster import Cluster
from unroll.exceptions import JobFailed
from unroll.training import meeting as meetings
from unroll.training.meeting import Meeting, together

FACTS = {"trainer.max_epochs": "2", "code": "abc"}
PATIENCE = 60.0  # for what comes


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> threading.local:
    """The place of each thread, which `together` takes for that of a process."""
    address, own = ("127.0.0.1", free_port()), threading.local()
    monkeypatch.setattr(meetings, "_address", lambda cluster: address)
    monkeypatch.setattr(Cluster, "here", lambda: getattr(own, "cluster", None))
    return own


def run_all(place: threading.local, *works: Callable[[Meeting], Any], patience: float = PATIENCE) -> list[Any]:
    """What each process has returned or raised."""
    ends: list[Any] = [None] * len(works)

    def run(rank: int) -> None:
        place.cluster = Cluster("torchrun", rank, rank, len(works), 1)
        try:
            with together(patience) as meeting:
                assert meeting is not None
                ends[rank] = works[rank](meeting)
        except BaseException as error:
            ends[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def agreeing(facts: dict[str, str] = FACTS) -> Callable[[Meeting], str]:
    def work(meeting: Meeting) -> str:
        meeting.agree(facts)
        return "done"

    return work


def failing(error: BaseException, before: bool) -> Callable[[Meeting], None]:
    """Fail before or after the agreement."""

    def work(meeting: Meeting) -> None:
        if not before:
            meeting.agree(FACTS)
        raise error

    return work


def waiting(meeting: Meeting) -> None:
    """Agree, and lose the connection when another process fails, as in a training."""
    meeting.agree(FACTS)
    rank = 1 if meeting.is_first else 0
    meeting._until(lambda: meeting._has(f"failed/{rank}") or meeting._has("end"), "does not fail", PATIENCE)
    raise RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:1")


def test_a_process_that_was_started_alone_meets_nobody() -> None:
    with together(0) as meeting:
        assert meeting is None


def test_processes_with_the_same_facts_agree(place: threading.local) -> None:
    assert run_all(place, agreeing(), agreeing(), agreeing()) == ["done"] * 3


def test_different_facts_are_named_once(place: threading.local) -> None:
    first, second, third = run_all(place, agreeing(), agreeing(), agreeing(FACTS | {"code": "xyz", "extra": "1"}))
    assert isinstance(first, ValueError)
    assert "process 2 on " in str(first) and "code=xyz (process 0: abc), extra=1 (process 0: None)" in str(first)
    assert "accepted: the same command, code, data and packages on every node" in str(first)
    assert isinstance(second, JobFailed) and isinstance(third, JobFailed)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_mistake_in_the_first_process_ends_the_others_silently(before: bool, place: threading.local) -> None:
    first, second = run_all(place, failing(ValueError("no such file"), before), waiting)
    assert str(first) == "no such file"
    assert isinstance(second, JobFailed)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_mistake_in_another_process_is_said_by_the_first(before: bool, place: threading.local) -> None:
    first, second = run_all(place, waiting, failing(ValueError("no such file"), before))
    assert isinstance(first, ValueError)
    assert str(first).startswith("process 1 on ") and str(first).endswith(": no such file")
    assert isinstance(second, JobFailed)


def test_a_bug_in_another_process_keeps_its_traceback_there(place: threading.local) -> None:
    first, second = run_all(place, waiting, failing(KeyError("weight"), before=False))
    assert isinstance(first, ValueError) and str(first).endswith("KeyError('weight')")
    assert isinstance(second, KeyError)


def test_a_process_that_vanishes_is_a_line_with_the_command_that_goes_on(
    place: threading.local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meetings, "CAUSE", 0.0)

    def lose(meeting: Meeting) -> None:
        meeting.agree(FACTS)
        raise dist.DistBackendError("Connection reset by peer\nwith a long trace")

    first, second = run_all(place, lose, waiting)
    assert isinstance(first, ValueError)
    assert "has ended (Connection reset by peer); the same command on every node goes on from" in str(first)
    assert isinstance(second, JobFailed)


def test_who_does_not_come_is_named_with_the_address(place: threading.local) -> None:
    place.cluster = Cluster("torchrun", 0, 0, 3, 3)
    with pytest.raises(ValueError, match="join_timeout") as error, together(0.2) as meeting:
        assert meeting is not None
        meeting.agree(FACTS)
    said = (
        r"1 of 3 processes came to 127\.0\.0\.1:\d+ within 0\.2 seconds \(missing: 1, 2\); accepted: the same command"
    )
    assert error.match(said)


def test_a_first_process_that_does_not_come_is_named_with_its_address(place: threading.local) -> None:
    place.cluster = Cluster("srun", 1, 0, 2, 2)
    with pytest.raises(ValueError, match=r"process 1 of 2 found no process 0 at 127\.0\.0\.1:\d+ within 1 seconds"):  # noqa: SIM117
        with together(1):
            pass


def test_what_an_earlier_attempt_has_written_is_not_heeded(
    place: threading.local, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent of torchrun may serve one store to all attempts."""
    host, port = meetings._address(None)  # type: ignore[arg-type]
    agent = meetings.TCPStore(host, port, None, True, wait_for_workers=False)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    assert isinstance(run_all(place, failing(ValueError("broken"), before=False), waiting)[1], JobFailed)
    assert run_all(place, agreeing(), agreeing()) == ["done"] * 2
    del agent


def test_the_first_process_decides_where_the_training_begins(place: threading.local, tmp_path: Path) -> None:
    checkpoint = tmp_path / "last.ckpt"

    def begin(meeting: Meeting) -> bool:
        meeting.agree(FACTS)
        return meeting.begin(checkpoint)

    assert run_all(place, begin, begin) == [False, False]
    checkpoint.write_text("state")
    assert run_all(place, begin, begin) == [True, True]


def test_a_checkpoint_that_only_the_first_process_has_asks_for_a_shared_file_system(
    place: threading.local, tmp_path: Path
) -> None:
    (tmp_path / "last.ckpt").write_text("state")

    def begin(folder: Path) -> Callable[[Meeting], bool]:
        def work(meeting: Meeting) -> bool:
            meeting.agree(FACTS)
            if not meeting.is_first:
                meeting._until(lambda: meeting._has("checkpoint"), "has not begun the training", PATIENCE)
                meeting.patience = 0  # to find the file
            return meeting.begin(folder / "last.ckpt") and waiting_for_failure(meeting)

        return work

    def waiting_for_failure(meeting: Meeting) -> bool:
        meeting._until(lambda: meeting._has("failed/1"), "does not fail", PATIENCE)
        raise RuntimeError("gloo: Connection closed by peer")

    first, second = run_all(place, begin(tmp_path), begin(tmp_path / "elsewhere"))
    assert "is not that of process 0; accepted: a project on a file system that the nodes share" in str(first)
    assert isinstance(second, JobFailed)
