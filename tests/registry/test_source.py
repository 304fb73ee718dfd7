import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.tiny import save_random_model
from tests.tracking.trained import make_provenance
from unroll.data.prepared import PreparedData
from unroll.inference.predictor import Predictor
from unroll.inference.scoring.job import ScoreOptions
from unroll.inference.scoring.score import score
from unroll.inference.server.source import RegisteredName
from unroll.registry.database import RegistryDatabase
from unroll.registry.registered_model import RegisteredModel
from unroll.registry.source import RegistrySource
from unroll.tracking.models import log_model
from unroll.tracking.runs import training_run
from unroll.tracking.store import open_store


@pytest.fixture(params=["database", "MLflow"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the sources ask."""
    if request.param == "MLflow":
        monkeypatch.setattr(RegistryDatabase, "of_environment", lambda: None)
    return str(request.param)


@pytest.fixture
def client() -> MlflowClient:
    return open_store()


def register(model: RegisteredModel, data: PreparedData, folder: Path, seed: int) -> int:
    with training_run(make_provenance(data), folder / f"run{seed}.json") as run:
        uri = log_model(run, save_random_model(data, folder / f"model{seed}", seed=seed))
    return int(model.create_version([run.run_id], uri).version)


def test_the_champion_is_copied_and_followed(
    reader: str, client: MlflowClient, reviews: PreparedData, tmp_path: Path
) -> None:
    name = f"followed by {reader}"
    model = RegisteredModel(client, name)
    first, second = (register(model, reviews, tmp_path, seed) for seed in (1, 2))
    model.make_champion(first)
    source = RegistrySource(RegisteredName.parse(f"models:/{name}@champion"))

    served = source.copy(source.version(), tmp_path / "1")
    model.make_champion(second)
    other = source.copy(source.version(), tmp_path / "2")

    assert (served.name, served.version, other.version) == (name, str(first), str(second))
    for copy, seed in ((served, 1), (other, 2)):
        expected = Predictor.load(tmp_path / f"model{seed}").predict(["not good"])
        assert Predictor.load(copy.folder).predict(["not good"]) == expected
    assert sorted(it.name for it in tmp_path.iterdir() if it.name.startswith("tmp")) == []


def test_a_registered_model_scores_files(client: MlflowClient, reviews: PreparedData, tmp_path: Path) -> None:
    register(RegisteredModel(client, "scoring"), reviews, tmp_path, 1)
    (tmp_path / "in.csv").write_text("text\nnot good\n")
    source = RegistrySource(RegisteredName.parse("models:/scoring/1"))
    score(source, [str(tmp_path / "in.csv")], tmp_path / "out.jsonl", ScoreOptions(), Predictor, processes=1)
    (expected,) = Predictor.load(tmp_path / "model1").predict(["not good"])
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"text": "not good", **expected, "error": None}
    manifest = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert manifest["settings"]["model"] == "scoring/1"  # version 1 of another model is another one


def test_a_version_stays(client: MlflowClient) -> None:
    client.create_registered_model("many")
    for _ in range(2):
        client.create_model_version("many", "s3://somewhere/else")
    assert RegistrySource(RegisteredName.parse("models:/many/1")).version() == "1"


def test_an_unknown_model_or_alias_is_an_error_that_names_what_there_is(reader: str, client: MlflowClient) -> None:
    name = f"known to {reader}"
    client.create_registered_model(name)
    client.create_model_version(name, "s3://somewhere/else")

    with pytest.raises(ValueError, match=rf"^models:/nobody@champion: .*registered models: .*{name}"):
        RegistrySource(RegisteredName("nobody", "champion", True)).version()
    with pytest.raises(ValueError, match=rf"^models:/{name}@champion: .*registered versions: 1"):
        RegistrySource(RegisteredName(name, "champion", True)).version()


def test_a_model_that_changes_while_it_is_copied_is_refused(
    client: MlflowClient, reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = str(register(RegisteredModel(client, "changing"), reviews, tmp_path, 1))
    source = RegistrySource(RegisteredName("changing", version, False))
    with source.folder(version) as found, (found / "vocabulary.json").open("a") as file:
        file.write(" ")
        file.flush()
        monkeypatch.setattr(RegistryDatabase, "folder", lambda *_: found)
        with pytest.raises(ValueError, match=r"^models:/changing/1: vocabulary\.json changed while it was copied"):
            source.copy(version, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
        monkeypatch.setattr(RegistryDatabase, "folder", lambda *_: tmp_path / "deleted since")
        with pytest.raises(ValueError, match="deleted since"):
            source.copy(version, tmp_path / "copy")
