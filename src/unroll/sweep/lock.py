"""One process at a time in a study's database, wherever the others run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

from filelock import FileLock
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from unroll.tracking.offline import without_password

PATIENCE = 60  # seconds: nobody holds the lock for longer than it takes to ask a study, and MLflow


@contextmanager
def study_lock(storage: str) -> Iterator[None]:
    """Hold the lock of the storage: a file beside a sqlite database, an advisory lock of PostgreSQL.

    A process that dies lets it go.

    Raises:
        ValueError: the storage is none of the two, or cannot be reached.
    """
    with ExitStack() as held:
        try:
            url = make_url(storage)
            held.enter_context(_LOCKS[url.get_backend_name()](url))
        except (KeyError, ArgumentError) as error:
            accepted = "sqlite:///FILE or postgresql+psycopg2://USER@HOST/DATABASE"
            raise ValueError(f"hydra.sweeper.storage={without_password(storage)!r}; accepted: {accepted}") from error
        except (SQLAlchemyError, OSError, ImportError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"hydra.sweeper.storage={without_password(storage)!r} cannot be used: {reason}") from error
        yield


def _file_lock(url: URL) -> AbstractContextManager[Any]:
    folder = Path(url.database or "").absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    return FileLock(f"{url.database}.lock", timeout=PATIENCE)


@contextmanager
def _advisory_lock(url: URL) -> Iterator[None]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": crc32(b"unroll studies")})
            yield
    finally:
        engine.dispose()


_LOCKS: dict[str, Callable[[URL], AbstractContextManager[Any]]] = {
    "sqlite": _file_lock,
    "postgresql": _advisory_lock,
}
