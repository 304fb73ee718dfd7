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
from unroll.registry.registered_model import RegisteredModel
from unroll.registry.source import RegistrySource
from unroll.tracking.models import log_model
from unroll.tracking.runs import training_run
from unroll.tracking.store import open_store


@pytest.fixture
def client() -> MlflowClient:
    return open_store()


def register(model: RegisteredModel, data: PreparedData, folder: Path, seed: int) -> int:
    with training_run(make_provenance(data), folder / f"run{seed}.json") as run:
        uri = log_model(run, save_random_model(data, folder / f"model{seed}", seed=seed))
    return int(model.create_version([run.run_id], uri).version)


def test_the_champion_is_copied_and_followed(client: MlflowClient, reviews: PreparedData, tmp_path: Path) -> None:
    model = RegisteredModel(client, "followed")
    first, second = (register(model, reviews, tmp_path, seed) for seed in (1, 2))
    model.make_champion(first)
    source = RegistrySource.open(RegisteredName.parse("models:/followed@champion"))

    served = source.copy(source.version(), tmp_path / "1")
    model.make_champion(second)
    other = source.copy(source.version(), tmp_path / "2")

    assert (served.name, served.version, other.version) == ("followed", str(first), str(second))
    for copy, seed in ((served, 1), (other, 2)):
        expected = Predictor.load(tmp_path / f"model{seed}").predict(["not good"])
        assert Predictor.load(copy.folder).predict(["not good"]) == expected
    assert sorted(it.name for it in tmp_path.iterdir() if it.name.startswith("tmp")) == []


def test_a_registered_model_scores_files(client: MlflowClient, reviews: PreparedData, tmp_path: Path) -> None:
    register(RegisteredModel(client, "scoring"), reviews, tmp_path, 1)
    (tmp_path / "in.csv").write_text("text\nnot good\n")
    source = RegistrySource.open(RegisteredName.parse("models:/scoring/1"))
    score(source, [str(tmp_path / "in.csv")], tmp_path / "out.jsonl", ScoreOptions(), processes=1)
    (expected,) = Predictor.load(tmp_path / "model1").predict(["not good"])
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"text": "not good", **expected, "error": None}
    manifest = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert manifest["settings"]["model"] == "scoring/1"  # version 1 of another model is another one


def test_a_version_stays(client: MlflowClient) -> None:
    assert RegistrySource(client, RegisteredName.parse("models:/any/7")).version() == "7"


def test_an_unknown_model_or_alias_is_an_error_that_names_what_there_is(client: MlflowClient) -> None:
    client.create_registered_model("known")
    client.create_model_version("known", "s3://somewhere/else")

    with pytest.raises(ValueError, match=r"^models:/nobody@champion: .*registered models: .*known"):
        RegistrySource(client, RegisteredName("nobody", "champion", True)).version()
    with pytest.raises(ValueError, match=r"^models:/known@champion: .*registered versions: 1"):
        RegistrySource(client, RegisteredName("known", "champion", True)).version()
