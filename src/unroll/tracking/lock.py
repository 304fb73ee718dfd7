"""One process at a time at a database, wherever the others run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from zlib import crc32

from filelock import FileLock, Timeout
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

PATIENCE = 60  # seconds: nobody holds the lock for longer than it takes to make a database, or to ask a study
KEY = crc32(b"unroll")  # of PostgreSQL's advisory lock, which is of one database


def database_lock(url: URL, patience: float = PATIENCE) -> AbstractContextManager[None]:
    """Hold the lock of the database: a file beside one of sqlite, an advisory lock in PostgreSQL.

    A process that dies lets it go.

    Args:
        patience: seconds to wait for it.

    Raises:
        KeyError: it is a database of another kind.
        TimeoutError: others hold the lock for longer than that.
        OSError, SQLAlchemyError, ImportError: the database cannot be reached.
    """
    return LOCKS[url.get_backend_name()](url, patience)


@contextmanager
def _file_lock(url: URL, patience: float) -> Iterator[None]:
    lock = FileLock(f"{Path(url.database or '').absolute()}.lock")
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise _held(patience) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _advisory_lock(url: URL, patience: float) -> Iterator[None]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"set lock_timeout = '{patience:.0f}s'"))
            try:
                connection.execute(text("select pg_advisory_lock(:key)"), {"key": KEY})
            except OperationalError as error:
                if "lock timeout" not in str(error):
                    raise
                raise _held(patience) from error
            yield
    finally:
        engine.dispose()


def _held(patience: float) -> TimeoutError:
    return TimeoutError(f"another process has held its lock for {patience:.0f} seconds; try again when it is done")


LOCKS: dict[str, Callable[[URL, float], AbstractContextManager[None]]] = {
    "sqlite": _file_lock,
    "postgresql": _advisory_lock,
}
