"""Locks between processes: of a run folder, another output or a cache, of a database, and of the study in a database.

Each is released when the process that holds it ends, even if it is killed.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from filelock import FileLock, Timeout

from unroll.exceptions import without_password
from unroll.files import make_folder, unwritable

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

PATIENCE = 600.0  # seconds to wait for a database, which others lock for seconds, or longer on a busy machine
ADVISORY_KEY = crc32(b"unroll")  # of PostgreSQL's advisory lock, one per database


@contextmanager
def run_lock(output: Path, wait: bool = False) -> Iterator[None]:
    """Prevent other processes from training in the run folder `output`.

    Raises:
        ValueError: another process trains there, and `wait` is false; if it is true, wait until that is done. Or the
            folder cannot be created.
    """
    lock = _lock_of(output)
    try:
        held = lock.acquire(blocking=False)
    except Timeout as error:
        if not wait:
            raise ValueError(f"output={output} is in use by another training; accepted: another folder") from error
        print(f"{output}: waiting for another process that trains there", flush=True)
        held = lock.acquire()
    with held:
        yield


@contextmanager
def output_lock(output: Path, wait: bool = False) -> Iterator[None]:
    """Prevent other processes from writing `output`.

    Raises:
        ValueError: another process writes it, and is not waited for; or the lock file beside it cannot be written.
    """
    lock = _lock_of(output)
    try:
        held = lock.acquire(blocking=wait)
    except Timeout as error:
        raise ValueError(f"another process writes {output}; accepted: another one, or wait for it") from error
    except OSError as error:
        raise unwritable(output, error) from error
    with held:
        yield


def is_run_locked(output: Path) -> bool:
    """Whether a process trains in the run folder `output`."""
    try:
        with run_lock(output) if _run_lock_file(output).exists() else nullcontext():
            return False
    except ValueError:
        return True


def cache_lock(folder: Path) -> FileLock:
    """The lock of a folder that exists; the process that holds it makes what the others wait for."""
    return FileLock(folder / ".lock")


def _lock_of(output: Path) -> FileLock:
    """The lock of an output; creates its file, since FileLock takes a folder without files for one that is in use."""
    file = _run_lock_file(output)
    try:
        make_folder(file.parent)
        if not file.exists():
            file.touch()
    except OSError as error:
        raise unwritable(output, error) from error
    return FileLock(file)


def _run_lock_file(output: Path) -> Path:
    """The lock file, next to the run folder: deleting or replacing the contents of the folder does not remove it."""
    output = output.absolute()
    return output.parent / f".{output.name}.running"


def database_lock(url: "URL", patience: float = PATIENCE) -> AbstractContextManager[None]:
    """Hold the lock of a database: a file next to an SQLite database, an advisory lock in PostgreSQL.

    Raises:
        KeyError: the database is of another kind.
        TimeoutError: others hold the lock for longer than `patience` seconds.
        OSError, SQLAlchemyError, ImportError: the database cannot be reached.
    """
    return DATABASE_LOCKS[url.get_backend_name()](url, patience)


@contextmanager
def study_lock(storage: str, key: str = "hydra.sweeper.storage") -> Iterator[None]:
    """Hold the lock of an Optuna storage, an SQLite or PostgreSQL database; `key` set it, in messages.

    Raises:
        ValueError: `storage` is neither, cannot be reached, or stays locked by others.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    with ExitStack() as held:
        try:
            url = make_url(storage)
            folder = Path(url.database or "").absolute().parent
            if url.get_backend_name() == "sqlite" and not folder.is_dir():
                raise FileNotFoundError(f"there is no folder {folder}")
            held.enter_context(database_lock(url))
        except (KeyError, ArgumentError) as error:
            accepted = "sqlite:///FILE or postgresql+psycopg2://USER@HOST/DATABASE"
            raise ValueError(f"{key}={without_password(storage)!r}; accepted: {accepted}") from error
        except (SQLAlchemyError, OSError, ImportError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"{key}={without_password(storage)!r} cannot be used: {reason}") from error
        yield


@contextmanager
def _file_lock(url: "URL", patience: float) -> Iterator[None]:
    try:
        held = FileLock(f"{Path(url.database or '').absolute()}.lock").acquire(timeout=patience)
    except Timeout as error:
        raise _held(patience) from error
    with held:
        yield


@contextmanager
def _advisory_lock(url: "URL", patience: float) -> Iterator[None]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import OperationalError

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"set lock_timeout = '{patience:.0f}s'"))
            try:
                connection.execute(text("select pg_advisory_lock(:key)"), {"key": ADVISORY_KEY})
            except OperationalError as error:
                if "lock timeout" not in str(error):
                    raise
                raise _held(patience) from error
            yield
    finally:
        engine.dispose()


def _held(patience: float) -> TimeoutError:
    return TimeoutError(f"another process has held its lock for {patience:.0f} seconds; try again when it is done")


DATABASE_LOCKS: dict[str, Callable[["URL", float], AbstractContextManager[None]]] = {
    "sqlite": _file_lock,
    "postgresql": _advisory_lock,
}
