import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from tests.postgresql import POSTGRES, postgres
from unroll import locks
from unroll.locks import database_lock, is_run_locked, output_lock, run_lock, study_lock


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    if request.param == "sqlite":
        yield make_url(f"sqlite:///{tmp_path_factory.mktemp('database')}/it.db")
    elif not POSTGRES:
        pytest.skip("no PostgreSQL in /usr/lib/postgresql")
    else:
        with postgres() as uri:
            yield make_url(uri)


def test_one_at_a_time(database: URL) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with database_lock(database, patience=30):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)  # gives the other thread the chance to enter
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_waiting_too_long_is_an_error(database: URL) -> None:
    with database_lock(database, patience=1):
        start = time.monotonic()
        told = pytest.raises(TimeoutError, match="another process has held its lock for 1 seconds")
        with told, database_lock(database, patience=1):
            pass
        assert time.monotonic() - start < 10
    with database_lock(database, patience=1):
        pass


def test_a_database_of_another_kind_has_no_lock() -> None:
    with pytest.raises(KeyError):
        database_lock(make_url("mysql://me@here/studies"), patience=1)


def test_waiting_too_long_for_a_study_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "database_lock", partial(database_lock, patience=0.1))
    storage = f"sqlite:///{tmp_path}/studies.db"
    said = pytest.raises(ValueError, match=r"studies\.db' cannot be used: another process has held")
    with study_lock(storage), said, study_lock(storage):
        pass


@pytest.mark.parametrize("storage", ["mysql://me@here/studies", "studies.db", "redis://here"])
def test_a_storage_of_another_kind_is_refused(storage: str) -> None:
    with pytest.raises(ValueError) as error, study_lock(storage):
        pass
    assert storage in str(error.value)
    assert "sqlite:///FILE or postgresql+psycopg2://" in str(error.value)


def test_a_server_that_is_not_there_is_named() -> None:
    storage = "postgresql+psycopg2://me@127.0.0.1:9/x"
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9/x' cannot be used.*refused"), study_lock(storage):
        pass


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"there is no folder .*nowhere"),
        study_lock(f"sqlite:///{tmp_path}/nowhere/x"),
    ):
        pass


def test_a_password_is_not_printed() -> None:
    storage = "postgresql+psycopg2://me:secret@127.0.0.1:9/x"
    with pytest.raises(ValueError, match="cannot be used") as error, study_lock(storage):
        pass
    assert "secret" not in str(error.value)


def train_forever(output: Path) -> None:
    with run_lock(output):
        (output / "started").touch()
        time.sleep(600)


def train_and_clean_up(output: Path, name: str) -> None:
    with run_lock(output, wait=True):
        checkpoints = output / "checkpoints"
        checkpoints.mkdir(parents=True)  # fails if another process is at work
        (output.parent / f"{name}.started").touch()
        time.sleep(0.2)
        shutil.rmtree(checkpoints)


def test_several_processes_wait_for_one_another(tmp_path: Path) -> None:
    spawn = get_context("spawn")
    processes = [spawn.Process(target=train_and_clean_up, args=(tmp_path / "run", str(i))) for i in range(3)]
    with run_lock(tmp_path / "run"):
        for process in processes:
            process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(list(tmp_path.glob("*.started"))) == 3


def test_a_folder_is_of_one_process_until_that_dies(tmp_path: Path) -> None:
    assert not is_run_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []  # the check creates no files
    process = get_context("spawn").Process(target=train_forever, args=(tmp_path,))
    process.start()
    try:
        while not (tmp_path / "started").exists():
            assert process.is_alive()
            time.sleep(0.05)
        assert is_run_locked(tmp_path)
        told = pytest.raises(ValueError, match=f"output={tmp_path} is in use by another training")
        with told, run_lock(tmp_path):
            pass
    finally:
        process.kill()
        process.join()
    assert not is_run_locked(tmp_path)
    with run_lock(tmp_path):
        assert is_run_locked(tmp_path)


@pytest.mark.parametrize("lock", [run_lock, output_lock])
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_an_output_where_there_is_no_place_is_not_in_use(lock: Callable[[Path], AbstractContextManager[None]]) -> None:
    said = r"^/proc/x cannot be written: No such file or directory; accepted: another place$"
    for output in ("/proc/x", "/proc/x/y"):
        with pytest.raises(ValueError, match=said), lock(Path(output)):
            pass


@pytest.mark.parametrize("lock", [run_lock, output_lock])
def test_an_output_below_a_file_is_refused(
    lock: Callable[[Path], AbstractContextManager[None]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file is a file; accepted: a folder"), lock(tmp_path / "file" / "x"):
        pass


def test_one_process_writes_an_output_and_can_be_waited_for(tmp_path: Path) -> None:
    entered = threading.Event()

    def wait() -> None:
        with output_lock(tmp_path / "output", wait=True):
            entered.set()

    waiting = threading.Thread(target=wait)
    with output_lock(tmp_path / "output"):
        with pytest.raises(ValueError, match="another process writes"), output_lock(tmp_path / "output"):
            pass
        waiting.start()
        assert not entered.is_set()
    waiting.join()
    assert entered.is_set()


def test_an_output_that_the_file_system_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / ".out.running"))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    said = f"^{re.escape(str(tmp_path / 'out'))} cannot be written: Read-only file system; accepted: another place$"
    with pytest.raises(ValueError, match=said), output_lock(tmp_path / "out"):
        pass
