"""Which networks the page offers."""

from pathlib import Path

import pytest

from tests.tiny import save_baseline, save_random_model
from unroll.data.prepared import PreparedData
from unroll.inference.exporting.export import export
from unroll.inference.play.networks import open_networks
from unroll.inference.server.source import FolderSource, ServedModel
from unroll.run_folder import RunFolder, RunRecord


@pytest.fixture
def project(reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two trained networks, a baseline, and the data of their training; the current folder."""
    monkeypatch.chdir(tmp_path)
    for model in ("gru", "lstm"):
        run = RunFolder(Path("models/small", model, "1"))
        save_random_model(reviews, run.model, model)
        run.write_record(RunRecord("small", "classification", model, 1, "", "", 0, 1, 1, 0, 1, True, 1))
    save_baseline(reviews, Path("models/small/majority/1/model"), "majority")
    Path("data/prepared").mkdir(parents=True)
    Path("data/prepared/small").symlink_to(reviews.folder)
    return tmp_path


def find_folder(name: str) -> FolderSource:
    return FolderSource(Path(name))


def names(tmp_path: Path, *models: str, data: Path | None = None) -> list[str]:
    return [it.name for it in open_networks(models, data, find_folder, tmp_path)]


def test_without_names_all_networks_of_the_project_are_offered(project: Path) -> None:
    networks = open_networks([], None, find_folder, project)
    assert [it.name for it in networks] == ["small/gru/1", "small/lstm/1"]
    assert networks[0].sensitivity.texts == 18


def test_folders_are_named_as_in_the_pipeline(project: Path) -> None:
    assert names(project, "models/small/lstm/1", "models/small/gru/1/model") == ["small/lstm/1", "small/gru/1"]
    assert names(project, "models/small/lstm/1", "models/small/lstm/1") == ["small/lstm/1"]


def test_folders_of_one_name_are_told_apart(project: Path) -> None:
    (project / "other").symlink_to(project / "models")
    models = ["models/small/lstm/1", "other/small/lstm/1"]
    assert names(project, *models) == models


def test_a_registered_model_is_copied_and_its_data_are_those_of_its_name(project: Path, tmp_path: Path) -> None:
    class Registered:
        def version(self) -> str:
            return "7"

        def copy(self, version: str, folder: Path) -> ServedModel:
            assert version == "7"
            folder.symlink_to(project / "models/small/gru/1/model")
            return ServedModel("small", version, folder)

    (tmp_path / "work").mkdir()
    asked = []
    (network,) = open_networks(
        ["models:/small@champion"], None, lambda it: asked.append(it) or Registered(), tmp_path / "work"
    )
    assert (network.name, asked) == ("models:/small@champion", ["models:/small@champion"])
    assert network.sensitivity.texts == 18


def test_the_data_of_the_training_can_be_named(project: Path, reviews: PreparedData) -> None:
    Path("data/prepared/small").unlink()
    (without,) = open_networks(["models/small/gru/1"], None, find_folder, project)
    with pytest.raises(ValueError, match=r"^small/gru/1: the prepared data .* accepted: --data"):
        _ = without.sensitivity
    (network,) = open_networks(["models/small/gru/1"], reviews.folder, find_folder, project)
    assert network.sensitivity.texts == 18


def test_what_cannot_be_explained_is_named(project: Path) -> None:
    export(Path("models/small/gru/1/model"), Path("onnx/small/gru/1"))
    mistakes = {
        "nowhere": "nowhere: no such folder; accepted: a run folder",
        "models/small/majority/1": "small/majority/1: a model of the kind Majority; accepted: a network with its",
        "onnx/small/gru/1": "small/gru/1: a model of the kind OnnxModel; accepted: a network with its weights",
    }
    for name, message in mistakes.items():
        with pytest.raises(ValueError, match=f"^{message}"):
            names(project, name)


def test_a_project_without_networks_says_how_to_train_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no trained network in models/DATASET/MODEL/SEED; .*pipelines/train\.py"):
        names(tmp_path)


def test_data_that_are_none_are_named(project: Path) -> None:
    with pytest.raises(ValueError, match=r"^nowhere contains no prepared data"):
        names(project, data=Path("nowhere"))
