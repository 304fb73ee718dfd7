import errno
import sqlite3

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy.exc import OperationalError
from urllib3.exceptions import MaxRetryError

from unroll.tracking.offline import tolerating

OF_THE_STORE = [
    MlflowException("API request to http://x failed"),
    RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run not found"}),
    requests.ConnectionError("refused"),
    MaxRetryError(None, "http://x", None),  # type: ignore[arg-type]
    OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked")),
    OSError(errno.ENOSPC, "No space left on device"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    TimeoutError("timed out"),
]
OURS = [
    KeyError("surprise"),
    ValueError("seed=-1; accepted: 0 or more"),
    TypeError("unexpected keyword"),
    FileNotFoundError(errno.ENOENT, "No such file", "history.csv"),
    MlflowException.invalid_parameter_value("Invalid metric name: 'val:accuracy'"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", OF_THE_STORE, ids=lambda error: type(error).__name__)
def test_an_error_of_the_store_is_one_warning_that_names_the_command(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with tolerating("models/reviews/gru/1"):
        raise error
    (said,) = caplog.messages
    assert said.startswith("warning: MLflow lacks models/reviews/gru/1, which is safe on disk")
    assert said.endswith("python pipelines/upload.py")
    assert "\n" not in said


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_another_error_passes(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(type(error)), tolerating("models/reviews/gru/1"):
        raise error
    assert caplog.messages == []


def test_nothing_is_said_when_the_store_answers(caplog: pytest.LogCaptureFixture) -> None:
    with tolerating("models/reviews/gru/1"):
        pass
    assert caplog.messages == []
