"""Where an SQLite database of MLflow has its artifacts: beside it, also after both were moved or copied.

MLflow records the absolute path of every folder of artifacts. Without a correction, a project that was moved would not
find them, and would create its former folder again to write there. Opening the store corrects the paths, and so does
``python -m unroll.tracking.moved mlflow.db``, before MLflow's own commands.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

PATIENCE = 600  # seconds to wait for another process that is writing
ARTIFACTS = "mlartifacts"  # has a folder for each experiment
RECORDED = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def artifact_folder(database: Path, experiment: str) -> Path:
    """The folder of an experiment's artifacts, independent of the current folder."""
    return database.resolve().parent / ARTIFACTS / experiment


def correct_paths(database: Path) -> None:
    """Correct the recorded paths, if there are wrong ones, in one transaction; raises sqlite3.Error.

    The artifacts of an experiment that are elsewhere, but not beside the database, remain there.
    """
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        for old, new in list(_moved(connection, database)):
            for table, column in RECORDED.items():
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column} || '/', 1, ?) = ?",
                    (new, len(old) + 1, len(old) + 1, f"{old}/"),
                )
        connection.commit()


def present_location(connection: sqlite3.Connection, database: Path, location: str) -> str:
    """What `correct_paths` would make of a recorded path."""
    for old, new in _moved(connection, database):
        if f"{location}/".startswith(f"{old}/"):
            return new + location.removeprefix(old)
    return location


def _moved(connection: sqlite3.Connection, database: Path) -> Iterator[tuple[str, str]]:
    """The recorded and the present URI of each experiment whose artifacts were moved or copied."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone() is None:
        return  # a new database
    rows = connection.execute(
        "SELECT artifact_location FROM experiments "
        "WHERE artifact_location LIKE 'file:///%' AND typeof(artifact_location) = 'text'"  # bytes in a damaged file
    )
    for (old,) in rows:
        recorded = Path(unquote(urlparse(old).path))
        folder = artifact_folder(database, recorded.name)
        if recorded.parent.name == ARTIFACTS and recorded != folder and (folder.is_dir() or not recorded.is_dir()):
            yield old, folder.as_uri()


def main() -> None:
    from unroll.exceptions import clear_errors

    with clear_errors():
        for argument in sys.argv[1:]:
            if Path(argument).is_file():
                try:
                    correct_paths(Path(argument))
                except sqlite3.Error as error:
                    raise ValueError(
                        f"{argument} cannot be used: {error}; see docs/tracking.md, 'If the store is unreachable'"
                    ) from error


if __name__ == "__main__":
    main()
