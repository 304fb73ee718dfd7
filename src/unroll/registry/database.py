"""Reads registered models from an SQLite store without MLflow, whose import alone takes seconds.

MLflow remains in charge: what is not found here, for whatever reason, is to be asked of MLflow, except that a model,
version or alias that a sound database does not have does not exist.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlparse

from unroll.exceptions import StoreError
from unroll.files import damaged_files
from unroll.inference.model_folder import CONFIG
from unroll.inference.server.source import RegisteredName
from unroll.tracking.moved import present_location
from unroll.tracking.registered import Registered

_PREFIX = "sqlite:///"
_OF_NAME = "FROM model_versions WHERE workspace = 'default' AND name = ? AND current_stage <> 'Deleted_Internal'"


@dataclass(frozen=True)
class RegistryDatabase:
    """The database at `path`; a database that cannot be read has nothing."""

    path: Path

    @classmethod
    def of_environment(cls) -> "RegistryDatabase | None":
        """The database at ``MLFLOW_TRACKING_URI``; None for a server, or another kind of database."""
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        path = Path(uri.removeprefix(_PREFIX))
        return cls(path) if uri.startswith(_PREFIX) and path.is_file() else None

    def version(self, name: RegisteredName) -> str | None:
        """The version that is named; None if MLflow has to be asked.

        Raises:
            StoreError: there is no such model, version or alias; lists what there is.
        """
        registered = self.registered(name.name)
        if registered is None:
            return None
        number = registered.aliases.get(name.chosen) if name.is_alias else int(name.chosen)
        if number is not None and number in registered.versions:
            return str(number)
        if name.name not in registered.models:
            raise StoreError(f"{name.uri}: no such model; {registered}")
        what = f"no version has the alias {name.chosen}" if name.is_alias else "no such version"
        raise StoreError(f"{name.uri}: {what}; {registered}")

    def registered(self, name: str) -> Registered | None:
        """What there is, in view of a model that may not exist; None if MLflow has to be asked."""
        # In a damaged file a value may have another type than its column.
        aliased = (
            "SELECT CAST(alias AS TEXT), CAST(version AS INTEGER) FROM registered_model_aliases "
            "WHERE workspace = 'default' AND name = ? ORDER BY alias"
        )
        known = "SELECT CAST(name AS TEXT) FROM registered_models WHERE workspace = 'default' ORDER BY name"
        try:
            with self._open() as connection:
                connection.execute("BEGIN")  # all of it as at one moment, while others register and delete
                versions = [it for (it,) in connection.execute(f"SELECT CAST(version AS INTEGER) {_OF_NAME}", (name,))]
                aliases = dict(connection.execute(aliased, (name,)))
                return Registered([it for (it,) in connection.execute(known)], name, versions, aliases)
        except sqlite3.Error:
            return None

    def folder(self, name: str, version: str) -> Path | None:
        """The model folder of a version; None if it is not on this machine, or damaged, or unroll did not log it."""
        try:
            with self._open() as connection:
                query = f"SELECT CAST(storage_location AS TEXT) {_OF_NAME} AND version = ?"
                (location,) = connection.execute(query, (name, int(version))).fetchone() or (None,)
                location = location and urlparse(present_location(connection, self.path, location))
        except sqlite3.Error:
            return None
        if not location or location.scheme not in ("", "file"):
            return None
        logged = Path(unquote(location.path))
        folders = [config.parent for config in logged.glob(f"artifacts/*/{CONFIG}")]
        return folders[0] if len(folders) == 1 and not damaged_files(logged) else None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            yield connection
