"""Finds the model that a user names: a folder, or a registered or logged model in MLflow.

Imports neither PyTorch nor MLflow before it needs them.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unroll.inference.predictor import Predictor
from unroll.inference.server.source import FolderSource, RegisteredName, Source, find_folder
from unroll.project import check_store, project_root, set_environment
from unroll.registry.database import RegistryDatabase
from unroll.registry.source import RegistrySource
from unroll.run_folder import RunFolder
from unroll.tracking.registered import Registered


def mlflow_uri(name: str) -> str | None:
    """The MLflow URI that `name` means; None for a folder. ``NAME@ALIAS`` stands for ``models:/NAME@ALIAS``."""
    if name.startswith(("models:/", "runs:/")):
        return name
    return f"models:/{name}" if re.fullmatch("[^/@]+@[^/@]+", name) and not Path(name).exists() else None


def load(model: RunFolder | str | Path, device: str = "auto") -> Predictor:
    """Load a trained model.

    Args:
        model: what `train` returned, the path of a run folder or of its model folder, or a name in MLflow:
            ``NAME@champion``, ``models:/NAME@champion``, ``models:/NAME/3`` or ``runs:/RUN_ID``. The MLflow store is
            that of ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` of the project.
        device: `auto` (the GPU if there is one), `cpu`, `cuda` or `mps`; see `Predictor.load`.
    """
    if isinstance(model, RunFolder):
        return Predictor.load(find_folder(model.path), device)
    if uri := mlflow_uri(str(model)):
        if not re.match("runs:/|models:/(m-[0-9a-f]{32}|[^/@]+/latest)(/|$)", uri):  # others than MLflow alone knows
            _parse(uri)
        with _environment():
            return _load_from_mlflow(uri, device)
    with _naming_registered(str(model)):
        folder = find_folder(Path(model))
    return Predictor.load(folder, device)


def find_source(name: str) -> Source:
    """The model to serve; raises ValueError if there is no such folder, or no MLflow store."""
    uri = mlflow_uri(name)
    if uri is None:
        with _naming_registered(name):
            return FolderSource(Path(name))
    registered = _parse(uri)
    check_store()
    set_environment(project_root())  # before MLflow is imported
    return RegistrySource(registered)


def _load_from_mlflow(uri: str, device: str) -> Predictor:
    if RegisteredName.matches(uri):
        source = RegistrySource(RegisteredName.parse(uri))
        with source.folder(source.version()) as folder:
            return Predictor.load(folder, device)
    from unroll.tracking.models import download_model, model_uri
    from unroll.tracking.offline import requiring
    from unroll.tracking.store import open_store

    client = open_store()
    with requiring(), tempfile.TemporaryDirectory() as work:
        if uri.startswith("runs:/"):
            uri = model_uri(client, uri.removeprefix("runs:/").partition("/")[0])
        return Predictor.load(download_model(client, uri, Path(work)), device)


def _parse(uri: str) -> RegisteredName:
    """The registered model that is meant; raises ValueError, which names what is registered, for another text."""
    try:
        return RegisteredName.parse(uri)
    except ValueError as error:
        found = _registered(re.split("[/@]", uri.removeprefix("models:/"))[0])
        raise ValueError(f"{error}; {found}" if found else str(error)) from None


def _registered(name: str) -> Registered | None:
    """What the store has, in view of a model; None if that cannot be said without MLflow."""
    with suppress(ValueError), _environment():
        database = RegistryDatabase.of_environment()
        return database.registered(name) if database else None
    return None


@contextmanager
def _naming_registered(name: str) -> Iterator[None]:
    """Add to the error for a folder that does not exist the registered models of that name."""
    try:
        yield
    except ValueError as error:
        found = None if Path(name).exists() else _registered(name)
        if not found or not found.uris:
            raise
        raise ValueError(f"{error}; registered: {', '.join(found.uris)}") from error


@contextmanager
def _environment() -> Iterator[None]:
    """The environment of the stages, which names the project's store and limits the time of requests."""
    check_store()
    before = set(os.environ)
    set_environment(project_root())
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            del os.environ[name]
