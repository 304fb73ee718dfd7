from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.tiny import save_random_model
from tests.tracking.trained import make_origin
from unroll.data.prepared import PreparedData
from unroll.registry.aliases import CHAMPION, champion, crown
from unroll.registry.rollback import roll_back
from unroll.tracking.models import log_model
from unroll.tracking.runs import training_run
from unroll.tracking.store import open_store


@pytest.fixture(scope="module")
def uri(reviews: PreparedData, store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model, logged to a run."""
    folder = save_random_model(reviews, tmp_path_factory.mktemp("trained") / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        with training_run(make_origin(reviews), folder.parent / "run.json") as run:
            return log_model(run, folder)


@pytest.fixture
def client() -> MlflowClient:
    return open_store()


@pytest.fixture
def name(client: MlflowClient, uri: str, request: pytest.FixtureRequest) -> str:
    """A registered model whose versions 1, 2 and 3 became champion one after the other."""
    client.create_registered_model(request.node.name)
    for version in (1, 2, 3):
        client.create_model_version(request.node.name, uri)
        crown(client, request.node.name, version)
    return str(request.node.name)


def refused(name: str, version: int | None = None) -> str:
    with pytest.raises(ValueError) as error:
        roll_back(name, version)
    return str(error.value)


def test_the_champion_before_is_champion_again(client: MlflowClient, name: str) -> None:
    assert roll_back(name) == (3, 2)
    assert champion(client, name) == 2


def test_each_roll_back_goes_one_further_until_there_is_none(client: MlflowClient, name: str) -> None:
    roll_back(name)
    assert roll_back(name) == (2, 1)
    assert "no version was champion before version 1" in refused(name)
    assert champion(client, name) == 1


def test_a_version_may_be_named_and_that_can_be_undone(client: MlflowClient, name: str) -> None:
    assert roll_back(name, 1) == (3, 1)
    assert roll_back(name) == (1, 3)
    assert champion(client, name) == 3


def test_a_version_that_is_not_there_is_named_with_those_that_are(client: MlflowClient, name: str) -> None:
    assert refused(name, 4) == f"version=4: {name} has no such version; it has 1, 2, 3"
    assert champion(client, name) == 3


def test_without_a_champion_there_is_nothing_to_go_back_from(client: MlflowClient, name: str) -> None:
    assert "dataset=nobody: no champion is registered" in refused("nobody")
    client.delete_registered_model_alias(name, CHAMPION)
    assert "no champion is registered" in refused(name, 1)


def test_a_version_that_does_not_load_leaves_the_champion(client: MlflowClient, name: str, tmp_path: Path) -> None:
    client.create_model_version(name, tmp_path.as_uri())
    assert f"models:/{name}/4 does not load and answer" in refused(name, 4)
    assert champion(client, name) == 3


def test_a_model_of_pairs_is_tried_on_a_pair(
    client: MlflowClient, reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "is_pair", True)
    folder = save_random_model(reviews, tmp_path / "model")
    with training_run(make_origin(reviews), tmp_path / "run.json") as run:
        uri = log_model(run, folder)
    client.create_registered_model("pairs")
    for version in (1, 2):
        client.create_model_version("pairs", uri)
        crown(client, "pairs", version)
    assert roll_back("pairs") == (2, 1)
