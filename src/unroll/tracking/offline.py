"""A tracking store that does not answer: an error before the work, a warning after it, for the results are safe.

Each request gives up after seconds (`unroll.stage.set_environment`). What goes on without the store makes at
most two of them that fail, so that nothing waits longer than half a minute.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from unroll.exceptions import StoreError, StoreUnavailable, without_password

log = logging.getLogger("unroll")

UPLOAD = "python pipelines/upload.py"
REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}  # of a store that answers
STORES = {"mlflow", "sqlite3", "sqlalchemy", "psycopg2", "requests", "urllib3", "boto3", "botocore"}  # packages

# We say in a line what these say in a traceback, and at each attempt.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


@contextmanager
def requiring() -> Iterator[None]:
    """Turn an error of the store into one that a person can act on.

    Raises:
        StoreError: the store refuses one request; names its address and the reason.
        StoreUnavailable: so does this.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, StoreError) or not is_of_the_store(error):
            raise
        uri = without_password(os.environ["MLFLOW_TRACKING_URI"])
        if getattr(error, "error_code", None) in REFUSALS:
            raise StoreError(f"MLFLOW_TRACKING_URI={uri!r}: {reason(error)}") from error
        raise StoreUnavailable(f"MLFLOW_TRACKING_URI={uri!r} cannot be used: {reason(error)}") from error


@contextmanager
def tolerating(what: str, later: str = UPLOAD) -> Iterator[None]:
    """Turn an error of the store into one printed warning that says that `what` is not there yet.

    Only for what is safe on disk and the command `later` can bring there. Other errors pass.
    """
    try:
        yield
    except Exception as error:
        if not is_of_the_store(error):
            raise
        log.warning(
            "warning: MLflow lacks %s, which is safe on disk (%s); once the store answers: %s",
            what,
            reason(error),
            later,
        )


@contextmanager
def impatient() -> Iterator[None]:
    """Let requests give up at once: the store has failed already, and if it is back it answers."""
    hurried = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
    before = {name: os.environ.get(name) for name in hurried}
    os.environ.update(hurried)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def is_of_the_store(error: Exception) -> bool:
    """Whether it comes from the store or from the way there, not from a bug or a file that is missing here."""
    if isinstance(error, OSError):  # a full disk, a lost connection, ...
        return not isinstance(error, FileNotFoundError)
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, StoreError) or not STORES.isdisjoint(packages)


def reason(error: Exception) -> str:
    """What it says, in a line: of a request or a statement that failed only why."""
    said = str(error).strip()
    for cause in (r"""Caused by \w+\(["'].*\): (.+?)["']\)""", r"\((?:sqlite3|psycopg2)\.\S+\) (.+)"):
        if found := re.search(cause, said):
            return found[1]
    return said.partition("\n")[0]
