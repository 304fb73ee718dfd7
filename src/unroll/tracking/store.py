"""Opens the tracking store: safe when several processes meet a database that does not exist yet."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine

from unroll.tracking.offline import StoreError, requiring

SQLITE = "sqlite:///"
DATABASES = ("postgresql", "mysql", "mssql")
SECONDS = 25  # that another process may take to create the database


def open_store() -> MlflowClient:
    """A client of the store at MLFLOW_TRACKING_URI.

    Two processes that create a sqlite database at once would break it for good, so that is done under a lock.

    Raises:
        ValueError: the variable is not set.
        StoreUnavailable: nothing answers there.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise ValueError("MLFLOW_TRACKING_URI is not set; for example sqlite:////home/me/mlflow.db")
    with requiring():
        if not uri.startswith(SQLITE):
            if uri.startswith(DATABASES):
                create_engine(uri).connect().close()  # fails at once where MLflow would try for minutes
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
            return client
        database = Path(uri.removeprefix(SQLITE))
        with FileLock(f"{database}.lock", timeout=SECONDS):
            _try_to_open(database)
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)  # makes the tables
        return client


def open_experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment `name`, created where it is missing."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            location = _artifact_location(client.tracking_uri, name)
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:  # another process was faster
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise StoreError(f"the MLflow experiment {name!r} is deleted; mlflow experiments restore or gc it first")
    experiment_id: str = experiment.experiment_id
    return experiment_id


def _artifact_location(uri: str, name: str) -> str | None:
    """Beside a sqlite database, wherever the process runs; a server decides for itself."""
    if not uri.startswith(SQLITE):
        return None
    return (Path(uri.removeprefix(SQLITE)).resolve().parent / "mlartifacts" / name).as_uri()


def _try_to_open(database: Path) -> None:
    """Fail at once where MLflow would try for minutes; a new database lets readers and writers work at once."""
    is_new = not database.exists()
    with closing(sqlite3.connect(database)) as connection:
        if is_new:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")  # as a writer would, within seconds
        connection.rollback()
