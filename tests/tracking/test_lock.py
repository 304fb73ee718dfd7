import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy.engine import URL, make_url

from tests.postgresql import POSTGRES, postgres
from unroll.tracking.lock import database_lock


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
                time.sleep(0.001)  # so that another one gets in, if there is a way
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_who_waits_in_vain_is_told(database: URL) -> None:
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
