"""One database for all tests of this folder, each of which takes names of its own in it; tiny data and models."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.tiny import prepare_tiny, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.data.source import Task
from unroll.training.model_folder import ModelFolder, build_model


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def tracking_uri(store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database's URI; a new database takes seconds, so there is one."""
    uri = f"sqlite:///{store_folder}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, PreparedData]:
    tasks: tuple[Task, ...] = ("classification", "labeling")
    return {task: prepare_tiny(task, tmp_path_factory.mktemp(task)) for task in tasks}


@pytest.fixture(scope="session")
def save_model(prepared: dict[Task, PreparedData]) -> Callable[[Task, Path, int], Path]:
    """A function that saves an untrained network with weights drawn from a seed; returns the model folder."""

    def save(task: Task, folder: Path, seed: int = 0) -> Path:
        data, config = prepared[task], tiny_parts("gru")["model"]
        torch.manual_seed(seed)
        model = build_model(config, task, len(data.label_names), len(data.vocabulary))
        ModelFolder(model, task, data.label_names, data.vocabulary).save(folder, config)
        return folder

    return save
