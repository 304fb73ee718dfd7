"""The files of a registered model: those of a version, or of the one that an alias names now."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unroll.inference.server.source import RegisteredName, ServedModel, copying
from unroll.registry.database import RegistryDatabase

if TYPE_CHECKING:
    from mlflow import MlflowClient


class RegistrySource:
    """A registered model in the store at ``MLFLOW_TRACKING_URI``; an alias may name another version while it is served.

    MLflow is imported only if the store is no database of SQLite that can be read, or the files of the version are not
    on this machine, or are damaged.
    """

    def __init__(self, name: RegisteredName) -> None:
        self._name, self._database = name, RegistryDatabase.of_environment()

    def version(self) -> str:
        """The number of the version; raises ValueError if there is none, or the store cannot be reached."""
        if self._database and (found := self._database.version(self._name)):
            return found
        if not self._name.is_alias:
            return self._name.chosen
        from unroll.tracking.models import finding_model
        from unroll.tracking.offline import requiring

        with requiring(), finding_model(self._client, self._name.uri):
            return str(self._client.get_model_version_by_alias(self._name.name, self._name.chosen).version)

    @contextmanager
    def folder(self, version: str, work: Path | None = None) -> Iterator[Path]:
        """The model folder of a version, during the block; raises ValueError if it is missing or damaged.

        Args:
            work: where to copy the files for that time, if they are not on this machine; None is the temporary folder.
        """
        if self._database and (found := self._database.folder(self._name.name, version)):
            yield found
            return
        from unroll.tracking.models import download_model
        from unroll.tracking.offline import requiring

        with tempfile.TemporaryDirectory(dir=work) as copy:
            with requiring():
                folder = download_model(self._client, f"models:/{self._name.name}/{version}", Path(copy))
            yield folder

    def identity(self, version: str) -> str:
        return f"{self._name.name}/{version}"

    def copy(self, version: str, folder: Path) -> ServedModel:
        with self.folder(version, folder.parent) as found, copying(found, folder, self._name.uri):
            pass
        return ServedModel(self._name.name, version, folder)

    @cached_property
    def _client(self) -> "MlflowClient":
        from unroll.tracking.store import open_store

        return open_store()
