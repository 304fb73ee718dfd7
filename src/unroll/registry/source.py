"""A registered model to serve: the version that an alias names now."""

import tempfile
from pathlib import Path

from mlflow import MlflowClient

from unroll.files import link
from unroll.inference.server.source import RegisteredName, ServedModel
from unroll.tracking.models import download_model, finding_model
from unroll.tracking.offline import requiring
from unroll.tracking.store import open_store


class RegistrySource:
    """A registered model in an MLflow store; the version that an alias names may change while it is served."""

    def __init__(self, client: MlflowClient, name: RegisteredName) -> None:
        self._client, self._name = client, name

    @classmethod
    def open(cls, name: RegisteredName) -> "RegistrySource":
        """The model in the store at ``MLFLOW_TRACKING_URI``; raises ValueError if it cannot be reached."""
        return cls(open_store(), name)

    def version(self) -> str:
        name, chosen, is_alias = self._name
        if not is_alias:
            return chosen
        with requiring(), finding_model(self._client, f"models:/{name}@{chosen}"):
            return str(self._client.get_model_version_by_alias(name, chosen).version)

    def identity(self, version: str) -> str:
        return f"{self._name.name}/{version}"

    def copy(self, version: str, folder: Path) -> ServedModel:
        uri = f"models:/{self._name.name}/{version}"
        with requiring(), tempfile.TemporaryDirectory(dir=folder.parent) as work:
            link(download_model(self._client, uri, Path(work)), folder)
        return ServedModel(self._name.name, version, folder)
