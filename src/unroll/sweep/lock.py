"""One process at a time in a study's database, wherever the others run."""

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

from filelock import FileLock
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url


@contextmanager
def study_lock(storage: str) -> Iterator[None]:
    """Hold the lock of the storage: a file beside a sqlite database, an advisory lock of PostgreSQL.

    A process that dies lets it go.

    Raises:
        ValueError: the storage is none of the two.
    """
    url = make_url(storage)
    if url.get_backend_name() == "sqlite" and url.database:
        with FileLock(f"{url.database}.lock"):
            yield
    elif url.get_backend_name() == "postgresql":
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                connection.execute(text("select pg_advisory_lock(:key)"), {"key": crc32(b"unroll studies")})
                yield
        finally:
            engine.dispose()
    else:
        raise ValueError(f"{storage!r}; accepted: sqlite:///FILE or postgresql+psycopg2://USER@HOST/DATABASE")
