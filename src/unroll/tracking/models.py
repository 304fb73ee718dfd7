"""A trained model in an MLflow run, which MLflow can load without a checkout of this project."""

import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from unroll.exceptions import StoreError, without_password
from unroll.files import check_files, damaged_files, read_json, read_yaml, write_checksums
from unroll.inference import mlflow_model
from unroll.inference.model_folder import CONFIG, ONNX_MODEL
from unroll.tracking.logged_model import copy_code, example, is_exported, requirements, signature
from unroll.tracking.offline import REFUSALS, UPLOAD, reason
from unroll.tracking.registered import Registered
from unroll.tracking.runs import TrackedRun, get_run


class ModelDamaged(ValueError):
    """The files of a logged model are not what was logged; `what` is the message without the remedy."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what}: use another version, or delete this one and register the model again")


def log_model(run: TrackedRun, folder: Path) -> str:
    """Log the model folder to the run as a model from code; return its URI, ``models:/m-…``.

    Does what `mlflow.pyfunc.log_model` does, which needs an active run and waits twice as long for a store that fails.
    """
    check_files(folder, "train it again")
    client, experiment = run.client, get_run(run.client, run.run_id).info.experiment_id
    config, exported = read_json(folder / CONFIG, keys=("task", "is_pair")), is_exported(folder)
    entry = client.create_logged_model(experiment, "model", source_run_id=run.run_id)
    description = Model(run_id=run.run_id, model_id=entry.model_id, model_uuid=entry.model_id)
    with tempfile.TemporaryDirectory() as work, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example", category=UserWarning)
        mlflow.pyfunc.save_model(
            f"{work}/model",
            mlflow_model=description,
            python_model=mlflow_model.__file__,
            artifacts={"model": str(folder)},
            code_paths=[str(copy_code(Path(work), exported))],
            pip_requirements=requirements(exported),
            signature=signature(config),
            input_example=example(config),
        )
        write_checksums(Path(work) / "model")
        client.log_model_artifacts(entry.model_id, f"{work}/model")
    client.log_outputs(run.run_id, [LoggedModelOutput(entry.model_id, step=0)])
    client.finalize_logged_model(entry.model_id, "READY")
    return f"models:/{entry.model_id}"


def find_model(client: MlflowClient, run_id: str) -> str | None:
    """The URI of the model that was logged to a run last, among those that were logged completely."""
    run = get_run(client, run_id).info
    found = client.search_logged_models([run.experiment_id], f"source_run_id = '{run.run_id}'")  # the latest first
    return next((f"models:/{it.model_id}" for it in found if it.status == LoggedModelStatus.READY), None)


def model_uri(client: MlflowClient, run_id: str) -> str:
    """The same as :func:`find_model`; raises ValueError if there is no model, or no such run."""
    uri = find_model(client, run_id)
    if uri is None:
        raise ValueError(
            f"run {run_id} has no model in the MLflow store at {without_password(client.tracking_uri)}: "
            f"upload it with {UPLOAD}"
        )
    return uri


def registrable_model_uri(run: TrackedRun, folder: Path) -> str:
    """The same as :func:`model_uri`, of a model that is sound, and has its export to ONNX if that is possible.

    Otherwise the model is logged again, with the export beside the weights: as it was logged, or from the model folder
    if it is damaged.
    """
    from unroll.inference.exporting.export import add_export  # PyTorch
    from unroll.inference.exporting.graph import NoExporter

    uri = model_uri(run.client, run.run_id)
    with tempfile.TemporaryDirectory() as work:
        try:
            folder = download_model(run.client, uri, Path(work) / "logged")
        except ModelDamaged as error:
            print(f"{error.what}: logging it again from {folder}", flush=True)
            sound = False
        else:
            sound = True
            if (folder / ONNX_MODEL).is_file():
                return uri
        exported = Path(work) / "model"
        try:
            if not add_export(folder, exported):
                exported = folder
        except NoExporter as error:
            print(f"{error}: the model is registered without ONNX, and PyTorch is needed to predict", flush=True)
            exported = folder
        return uri if sound and exported == folder else log_model(run, exported)


def fetch_model(client: MlflowClient, uri: str, folder: Path) -> None:
    """Copy the files of a logged model or of a version into `folder`, for MLflow would leave its own copy behind.

    Raises:
        StoreError: there is no such model, or its files are deleted.
        ModelDamaged: a file is not what was logged.
    """
    with finding_model(client, uri):
        mlflow.artifacts.download_artifacts(uri, dst_path=str(folder), tracking_uri=client.tracking_uri)
        if not folder.is_dir() or not any(folder.iterdir()):  # MLflow says that it has copied what is not there
            raise FileNotFoundError
    if damaged := damaged_files(folder):
        raise ModelDamaged(f"{uri} is damaged in MLflow ({', '.join(damaged)} changed after it was logged)")


def download_model(client: MlflowClient, uri: str, folder: Path) -> Path:
    """Copy a logged or registered model into `folder`; return the model folder that `log_model` was given.

    Raises:
        ValueError: there is no such model, it is damaged, or unroll did not log it.
    """
    fetch_model(client, uri, folder)
    with finding_model(client, uri):
        flavors = read_yaml(folder / "MLmodel")["flavors"]
    try:
        return folder / flavors["python_function"]["artifacts"]["model"]["path"]
    except KeyError:
        raise ValueError(f"{uri} was not logged by unroll; accepted: a model of an unroll training") from None


@contextmanager
def finding_model(client: MlflowClient, uri: str) -> Iterator[None]:
    """Turn the error for a model, version or alias that does not exist into a StoreError that names what does."""
    try:
        yield
    except (MlflowException, FileNotFoundError) as error:
        if isinstance(error, MlflowException) and error.error_code not in REFUSALS:
            raise
        why = reason(error).rstrip(".")
        if isinstance(error, FileNotFoundError) or re.search("No such artifact|MLmodel", why):
            why = "its files are deleted: delete this version too, and register the model again, or use another version"
        raise StoreError(f"{uri}: {why}; {_registered(client, uri)}") from error


def _registered(client: MlflowClient, uri: str) -> str:
    """What the store has instead of a model that it does not have."""
    name = re.split("[/@]", uri.removeprefix("models:/"))[0]
    found = client.search_model_versions()
    models, versions = {it.name for it in found}, [int(it.version) for it in found if it.name == name]
    aliases = client.get_registered_model(name).aliases if versions else {}
    return str(Registered(models, name, versions, {alias: int(version) for alias, version in aliases.items()}))
