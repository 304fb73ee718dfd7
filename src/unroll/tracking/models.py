"""A trained model in an MLflow run, which MLflow can load without a checkout of this project."""

import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array

import unroll
from unroll.data.tokens import TOKEN_TASKS
from unroll.exceptions import StoreError, without_password
from unroll.files import check_files, damaged_files, read_json, read_yaml, write_checksums
from unroll.inference import mlflow_model
from unroll.tracking.offline import REFUSALS, UPLOAD, reason
from unroll.tracking.runs import TrackedRun, get_run

PACKAGES = ["PyYAML", "hydra-core", "icu4py", "mlflow", "numpy", "onnxruntime", "pandas", "pydantic", "python-crfsuite"]
PACKAGES += ["safetensors", "scikit-learn", "scipy", "sentencepiece", "torch"]


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
    entry = client.create_logged_model(experiment, "model", source_run_id=run.run_id)
    description = Model(run_id=run.run_id, model_id=entry.model_id, model_uuid=entry.model_id)
    with tempfile.TemporaryDirectory() as work, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example", category=UserWarning)
        mlflow.pyfunc.save_model(
            f"{work}/model",
            mlflow_model=description,
            python_model=mlflow_model.__file__,
            artifacts={"model": str(folder)},
            code_paths=[str(Path(unroll.__file__).parent)],
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in PACKAGES],
            signature=_signature(read_json(folder / "config.json")),
        )
        write_checksums(Path(work) / "model")
        client.log_model_artifacts(entry.model_id, f"{work}/model")
    client.log_outputs(run.run_id, [LoggedModelOutput(entry.model_id, step=0)])
    client.finalize_logged_model(entry.model_id, "READY")
    return f"models:/{entry.model_id}"


def _signature(config: dict[str, Any]) -> ModelSignature:
    """The columns and parameters of `TextModel`."""
    names = ["text", "text_pair"] if config["is_pair"] else ["text"]
    takes_tokens = config["task"] in TOKEN_TASKS or config.get("given_tokens", False)
    columns: list[ColSpec | TensorSpec] = [ColSpec("string", name, required=not takes_tokens) for name in names]
    if takes_tokens:
        columns.append(ColSpec(Array(DataType.string), "tokens", required=False))
    return ModelSignature(inputs=Schema(columns), params=ParamSchema([ParamSpec("errors", "string", "raise")]))


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


def sound_model_uri(run: TrackedRun, folder: Path) -> str:
    """The same as :func:`model_uri`; a model that is damaged in the store is logged again from the model folder."""
    uri = model_uri(run.client, run.run_id)
    try:
        fetch_model(run.client, uri)
    except ModelDamaged as error:
        print(f"{error.what}: logging it again from {folder}", flush=True)
        return log_model(run, folder)
    return uri


def fetch_model(client: MlflowClient, uri: str, folder: Path | None = None) -> Path:
    """The local folder with the files of a logged model or of a version, copied to `folder` if that is given.

    Raises:
        StoreError: there is no such model, or its files are deleted.
        ModelDamaged: a file is not what was logged.
    """
    target = None if folder is None else str(folder)
    with finding_model(client, uri):
        found = mlflow.artifacts.download_artifacts(uri, dst_path=target, tracking_uri=client.tracking_uri)
    if damaged := damaged_files(Path(found)):
        raise ModelDamaged(f"{uri} is damaged in MLflow ({', '.join(damaged)} changed after it was logged)")
    return Path(found)


def download_model(client: MlflowClient, uri: str, folder: Path) -> Path:
    """Copy a logged or registered model into `folder`; return the model folder that `log_model` was given.

    Raises:
        ValueError: there is no such model, it is damaged, or unroll did not log it.
    """
    copy = fetch_model(client, uri, folder)
    with finding_model(client, uri):
        flavors = read_yaml(copy / "MLmodel")["flavors"]
    try:
        return copy / flavors["python_function"]["artifacts"]["model"]["path"]
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
    versions = client.search_model_versions()
    own = sorted(int(it.version) for it in versions if it.name == re.split("[/@]", uri.removeprefix("models:/"))[0])
    if own:
        return f"registered versions: {', '.join(map(str, own))}"
    return f"registered models: {', '.join(sorted({it.name for it in versions})) or 'none'}"
