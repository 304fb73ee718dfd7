import errno
import os
import sqlite3

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from sqlalchemy.exc import OperationalError
from urllib3.exceptions import MaxRetryError

from unroll.exceptions import StoreError, StoreUnavailable
from unroll.tracking.offline import impatient, reason, requiring, tolerating

OF_THE_STORE = [
    MlflowException("API request to http://x failed"),
    RestException({"error_code": "INTERNAL_ERROR", "message": "full"}),
    requests.ConnectionError("refused"),
    MaxRetryError(None, "http://x", None),  # type: ignore[arg-type]
    OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked")),
    OSError(errno.ENOSPC, "No space left on device"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    TimeoutError("timed out"),
    StoreError("run 1 is deleted"),
]
OURS = [
    KeyError("surprise"),
    ValueError("seed=-1; accepted: 0 or more"),
    TypeError("unexpected keyword"),
    FileNotFoundError(errno.ENOENT, "No such file", "history.csv"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", OF_THE_STORE, ids=lambda error: type(error).__name__)
def test_an_error_of_the_store_is_one_warning_that_names_the_command(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with tolerating("models/reviews/gru/1"):
        raise error
    (said,) = caplog.messages
    assert said.startswith("warning: models/reviews/gru/1 is missing from MLflow, but complete on disk")
    assert said.endswith("python pipelines/upload.py")
    assert "\n" not in said


def test_the_warning_names_another_command_where_that_is_the_one(caplog: pytest.LogCaptureFixture) -> None:
    with tolerating("the comparison", "python pipelines/compare.py dataset=reviews"):
        raise ConnectionError("gone")
    assert caplog.messages[0].endswith("to upload it later: python pipelines/compare.py dataset=reviews")


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_another_error_passes(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(type(error)), tolerating("models/reviews/gru/1"):
        raise error
    assert caplog.messages == []


def test_nothing_is_logged_when_the_store_responds(caplog: pytest.LogCaptureFixture) -> None:
    with tolerating("models/reviews/gru/1"):
        pass
    assert caplog.messages == []


@pytest.mark.parametrize("error", OF_THE_STORE[:-1], ids=lambda error: type(error).__name__)
def test_before_the_work_an_error_of_the_store_is_for_a_person_to_mend(error: Exception, tracking_uri: str) -> None:
    with pytest.raises(StoreUnavailable) as raised, requiring():
        raise error
    assert str(raised.value).startswith(f"MLFLOW_TRACKING_URI={tracking_uri!r} cannot be used: ")
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("error", [*OURS, OF_THE_STORE[-1]], ids=lambda error: type(error).__name__)
def test_before_the_work_another_error_passes_too(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, requiring():
        raise error
    assert raised.value is error


def test_a_request_that_the_store_refuses_does_not_mean_that_it_is_away(tracking_uri: str) -> None:
    with pytest.raises(StoreError) as raised, requiring():
        raise MlflowException("Run is deleted", INVALID_PARAMETER_VALUE)
    assert not isinstance(raised.value, StoreUnavailable)
    assert str(raised.value) == f"MLFLOW_TRACKING_URI={tracking_uri!r}: Run is deleted"


def test_a_store_that_cannot_be_used_is_tolerated_after_the_work(caplog: pytest.LogCaptureFixture) -> None:
    with tolerating("models/reviews/gru/1"), requiring():
        raise OF_THE_STORE[0]
    assert len(caplog.messages) == 1


def test_a_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://me:s3cr:et@db/runs?a=b@c")
    with pytest.raises(StoreUnavailable) as raised, requiring():
        raise OF_THE_STORE[0]
    assert "'postgresql+psycopg2://me:***@db/runs?a=b@c'" in str(raised.value)


def test_of_what_failed_only_the_cause_is_said() -> None:
    said = (
        "API request to http://h:1/api failed with exception HTTPConnectionPool(host='h', port=1): Max retries "
        "exceeded with url: /api (Caused by NewConnectionError(\"HTTPConnection(host='h', port=1): Failed to establish "
        'a new connection: [Errno 111] Connection refused"))'
    )
    assert reason(MlflowException(said)) == "Failed to establish a new connection: [Errno 111] Connection refused"
    locked = "(raised as a result of Query-invoked autoflush)\n(sqlite3.OperationalError) database is locked\n[SQL: …]"
    assert reason(MlflowException(locked)) == "database is locked"
    assert reason(ValueError("one\ntwo")) == "one"


def test_impatience_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with impatient():
        assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) < 7
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
