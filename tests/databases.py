"""An empty database of MLflow, which the tests copy, because MLflow takes a second to create one."""

import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from unroll.tracking.store import open_store


def create_database(file: Path) -> None:
    """Write an empty database, as `open_store` creates it."""
    file.write_bytes(_empty_database())


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        database = Path(folder) / "mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
        open_store()
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return database.read_bytes()
