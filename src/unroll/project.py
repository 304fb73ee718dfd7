"""Finds the project, the checkout with conf/, pipelines/ and src/, and sets the environment of its commands."""

import os
from pathlib import Path


def project_root() -> Path:
    """The checkout that this package is imported from, independent of the current folder."""
    return Path(__file__).resolve().parents[2]


def writing_command(stage: str, folder: Path, usual: str) -> str:
    """The command of a stage that writes a folder of a dataset, which is in the folder `usual` or elsewhere."""
    if folder.absolute().parent.parts[-2:] == Path(usual).parts:
        return f"python pipelines/{stage}.py dataset={folder.name}"
    return f"python pipelines/{stage}.py dataset=NAME output={folder}"


def database_folder(project: Path) -> Path:
    """The folder of the local MLflow database of a checkout.

    ``dvc exp run --queue`` works in a copy below ``.dvc/tmp`` and logs to the database of the project itself.
    """
    return next((parent.parent for parent in project.parents if parent.name == ".dvc"), project)


def check_store() -> None:
    """Raise ValueError if no MLflow store is named in the environment, and the checkout has no database."""
    database = database_folder(project_root()) / "mlflow.db"
    if not os.environ.get("MLFLOW_TRACKING_URI") and not database.exists():
        raise ValueError(f"no MLflow store: there is no {database}; accepted: MLFLOW_TRACKING_URI in the environment")


def set_environment(project: Path) -> None:
    """Set environment variables that third-party libraries read; values that the user has set are kept."""
    defaults = {
        "HYDRA_FULL_ERROR": "1",  # lets errors reach `unroll.stage`
        "OMP_NUM_THREADS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # A command waits for at most two failed requests: 2 * 2 * 7 seconds (see tracking/offline.py).
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "7",
        "PGCONNECT_TIMEOUT": "7",
        "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
        "MLFLOW_TRACKING_URI": f"sqlite:///{database_folder(project)}/mlflow.db",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
