"""One process at a time in a study's database, wherever the others run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from unroll.tracking.lock import database_lock
from unroll.tracking.offline import without_password


@contextmanager
def study_lock(storage: str) -> Iterator[None]:
    """Hold the lock of the storage, a database of sqlite or PostgreSQL.

    Raises:
        ValueError: the storage is none of the two, cannot be reached, or others do not let go of it.
    """
    with ExitStack() as held:
        try:
            url = make_url(storage)
            _check_folder(url)
            held.enter_context(database_lock(url))
        except (KeyError, ArgumentError) as error:
            accepted = "sqlite:///FILE or postgresql+psycopg2://USER@HOST/DATABASE"
            raise ValueError(f"hydra.sweeper.storage={without_password(storage)!r}; accepted: {accepted}") from error
        except (SQLAlchemyError, OSError, ImportError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"hydra.sweeper.storage={without_password(storage)!r} cannot be used: {reason}") from error
        yield


def _check_folder(url: URL) -> None:
    folder = Path(url.database or "").absolute().parent
    if url.get_backend_name() == "sqlite" and not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
