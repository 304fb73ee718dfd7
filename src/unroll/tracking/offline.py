"""Errors of the tracking store: fatal before the work, a warning after it, because the results are on disk.

A request times out after a few seconds (`unroll.project.set_environment`). Work that continues without the store makes
at most two requests that fail, so that no command waits for longer than half a minute.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

from unroll.exceptions import StoreError, StoreUnavailable, without_password

log = logging.getLogger("unroll")

UPLOAD = "python pipelines/upload.py"
RECOVERY = f"move it away, run {UPLOAD}, and see docs/tracking.md, 'If the store is unreachable'"  # a damaged database
REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}  # of a working store
READERS = {"mlflow", "sqlalchemy", "alembic"}  # packages that read what is in a database
STORES = READERS | {"sqlite3", "psycopg2", "requests", "urllib3", "boto3", "botocore"}

# These log a traceback at each attempt; the errors below contain the reason.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


@contextmanager
def requiring() -> Iterator[None]:
    """Turn an error of the store into StoreUnavailable, or into StoreError if the store only refuses one request."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StoreError) or not is_store_error(error):
            raise
        uri = without_password(os.environ["MLFLOW_TRACKING_URI"])
        if getattr(error, "error_code", None) in REFUSALS:
            raise StoreError(f"MLFLOW_TRACKING_URI={uri!r}: {reason(error)}") from error
        raise StoreUnavailable(f"MLFLOW_TRACKING_URI={uri!r} cannot be used: {reason(error)}") from error


@contextmanager
def tolerating(what: str, later: str = UPLOAD) -> Iterator[None]:
    """Turn an error of the store into a warning that `what`, complete on disk, is missing; `later` uploads it."""
    try:
        yield
    except Exception as error:
        if not is_store_error(error):
            raise
        message = "warning: %s is missing from MLflow, but complete on disk (%s); to upload it later: %s"
        log.warning(message, what, reason(error), later)


@contextmanager
def impatient() -> Iterator[None]:
    """Give each request two seconds and no retry, for a store that has failed already."""
    hurried = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
    before = {name: os.environ[name] for name in hurried if name in os.environ}
    os.environ.update(hurried)
    try:
        yield
    finally:
        for name in hurried:
            del os.environ[name]
        os.environ.update(before)


def is_store_error(error: Exception) -> bool:
    """Whether the store, or the connection to it, raised the error, not a bug or a missing local file."""
    if isinstance(error, OSError):  # a full disk, a lost connection, ...
        return not isinstance(error, FileNotFoundError)
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, StoreError) or not STORES.isdisjoint(packages) or _is_of_damage(error)


def _is_of_damage(error: Exception) -> bool:
    """Whether MLflow, called by unroll, failed at what it has read from an SQLite file, whose pages have no checksums.

    A changed bit there can make any value one of another type, so that any kind of error may follow.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI", "").startswith("sqlite"):
        return False
    packages = [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
    after = packages[len(packages) - packages[::-1].index("unroll") :] if "unroll" in packages else []
    return bool(after) and after[0] in READERS


def reason(error: Exception) -> str:
    """The message of an error in one line: for a failed request or statement, only its cause."""
    text = str(error).strip()
    if _is_of_damage(error) and type(error).__module__ == "builtins":
        return f"{type(error).__name__} in MLflow: {text.partition(chr(10))[0]}; if the file is damaged: {RECOVERY}"
    if damage := re.search(
        "file is not a database|database disk image is malformed|malformed database schema|duplicate column name", text
    ):
        return f"{damage[0]}: {RECOVERY}"
    for cause in (r"""Caused by \w+\(["'].*\): (.+?)["']\)""", r"\((?:sqlite3|psycopg2)\.\S+\) (.+)"):
        if found := re.search(cause, text):
            return found[1]
    return text.partition("\n")[0]
