"""Opens the tracking store; several processes may create the same database at once."""

import os
import shlex
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from unroll.exceptions import StoreError, without_password
from unroll.files import delete
from unroll.locks import DATABASE_LOCKS, database_lock
from unroll.tracking.moved import artifact_folder, correct_paths
from unroll.tracking.offline import RECOVERY, requiring


def open_store() -> MlflowClient:
    """A client of the store at ``MLFLOW_TRACKING_URI``; raises ValueError if it is not set or cannot be reached.

    A database is created under a lock: processes that create one at the same time fail, and corrupt an SQLite file.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise ValueError("MLFLOW_TRACKING_URI is not set; for example sqlite:////home/me/mlflow.db")
    with requiring():
        url = _database(uri)
        with database_lock(url) if url and url.get_backend_name() in DATABASE_LOCKS else nullcontext():
            if url:
                _try_to_open(url)
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)  # creates the tables
        return client


def open_experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment `name`, created if it does not exist; raises StoreError if it is deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, artifact_location=_artifact_location(client.tracking_uri, name))
        except MlflowException:  # another process has created it since
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise deleted_experiment(client, experiment)
    return str(experiment.experiment_id)


def deleted_experiment(client: MlflowClient, experiment: Experiment) -> StoreError:
    """The error for an experiment that is deleted, but not yet by ``mlflow gc``."""
    command = mlflow_command(client, f"experiments restore --experiment-id {experiment.experiment_id}")
    return StoreError(f"the MLflow experiment {experiment.name!r} is deleted; to restore it with its runs: {command}")


def mlflow_command(client: MlflowClient, arguments: str) -> str:
    """A command of MLflow for the store of the client, which works in any folder."""
    return f"MLFLOW_TRACKING_URI={shlex.quote(without_password(client.tracking_uri))} mlflow {arguments}"


def _artifact_location(uri: str, name: str) -> str | None:
    """A folder next to an SQLite database, independent of the current folder; None lets a server choose."""
    url = _database(uri)
    if url is None or url.get_backend_name() != "sqlite":
        return None
    return artifact_folder(Path(str(url.database)), name).as_uri()


def _database(uri: str) -> URL | None:
    """Parse the URI of a database as MLflow does; None for another kind of store."""
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        return None
    return url if url.database and url.get_backend_name() in DATABASE_ENGINES else None


def _try_to_open(url: URL) -> None:
    """Connect once, because MLflow retries for minutes; create an SQLite database or correct its paths."""
    if url.get_backend_name() != "sqlite":
        create_engine(url).connect().close()
        return
    database = Path(str(url.database))
    if database.is_dir():
        raise IsADirectoryError(f"a folder, not a file: {RECOVERY}")
    is_new = not database.exists() or not database.stat().st_size
    if database.exists():
        _check_writable(database)
        correct_paths(database)
    if is_new:
        _create(url, database)


def _check_writable(database: Path) -> None:
    """Raise sqlite3.Error if a database cannot be written to; within seconds if another process is writing."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _create(url: URL, database: Path) -> None:
    """Let MLflow create the tables in a temporary file: a full disk or SIGKILL would leave half of them for ever."""
    temporary = database.with_name(f".{database.name}.new")
    left = [temporary, temporary.with_name(f"{temporary.name}-journal")]
    try:
        for file in left:
            delete(file)
        _check_writable(temporary)
        new = url.set(database=str(temporary.absolute())).render_as_string(hide_password=False)
        MlflowClient(new).search_experiments(max_results=1)
        os.replace(temporary, database)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # readers and a writer do not wait for each other
    finally:
        for file in left:
            delete(file)
