"""A tracking store that stops answering: the work goes on, and what it made is uploaded later."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException

log = logging.getLogger("unroll")

UPLOAD = "python pipelines/upload.py"
PACKAGES = {"mlflow", "requests", "urllib3", "sqlalchemy", "psycopg2", "boto3", "botocore"}  # that talk to a store


@contextmanager
def tolerating(what: str) -> Iterator[None]:
    """Turn an error of the tracking store into one printed warning that says that `what` is not there yet.

    Only for what is safe on disk and `pipelines/upload.py` can bring there later. Other errors pass.
    """
    try:
        yield
    except Exception as error:
        if not _is_of_the_store(error):
            raise
        log.warning(
            "warning: MLflow lacks %s, which is safe on disk: the store failed (%s); once it answers: %s",
            what,
            str(error).strip().partition("\n")[0],
            UPLOAD,
        )


def _is_of_the_store(error: Exception) -> bool:
    """Whether it comes from the store or from the way there, and not from a wrong call of ours or a missing file."""
    if isinstance(error, MlflowException):
        return bool(error.error_code != "INVALID_PARAMETER_VALUE")
    if isinstance(error, OSError):  # a full disk, a lost connection, ...
        return not isinstance(error, FileNotFoundError)
    return any(kind.__module__.partition(".")[0] in PACKAGES for kind in type(error).__mro__)
