from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.tiny import save_random_model
from tests.tracking.trained import make_provenance
from unroll.data.prepared import PreparedData
from unroll.files import write_json
from unroll.registry.registered_model import CHAMPION, RegisteredModel
from unroll.tracking.models import log_model
from unroll.tracking.runs import training_run
from unroll.tracking.store import open_store


@pytest.fixture
def client() -> MlflowClient:
    return open_store()


@pytest.fixture
def model(client: MlflowClient, request: pytest.FixtureRequest) -> RegisteredModel:
    """A registered model with versions 1, 2 and 3, which cannot be loaded."""
    client.create_registered_model(request.node.name)
    for _ in range(3):
        client.create_model_version(request.node.name, "s3://somewhere/else")
    return RegisteredModel(client, request.node.name)


def test_an_unknown_model_and_one_without_aliases_have_no_champion(
    client: MlflowClient, model: RegisteredModel
) -> None:
    assert RegisteredModel(client, "nobody's").champion is None
    assert model.champion is None
    assert model.previous_champion() is None


def test_versions_are_known_by_their_numbers(client: MlflowClient, model: RegisteredModel) -> None:
    assert model.versions() == [1, 2, 3]
    assert RegisteredModel(client, "nobody's").versions() == []


def test_the_champion_before_is_remembered(model: RegisteredModel) -> None:
    for version in (1, 2, 3):
        model.make_champion(version)
    assert (model.champion, model.previous_champion()) == (3, 2)


def test_a_champion_that_is_made_champion_twice_is_not_its_own_predecessor(model: RegisteredModel) -> None:
    for version in (1, 2, 2):
        model.make_champion(version)
    assert model.previous_champion() == 1


def test_going_back_goes_further_back_each_time(model: RegisteredModel) -> None:
    for version in (1, 2, 3):
        model.make_champion(version)
    model.restore_champion(2)
    assert (model.champion, model.previous_champion()) == (2, 1)
    model.restore_champion(1)
    assert (model.champion, model.previous_champion()) == (1, None)


def test_a_champion_that_was_deleted_is_skipped(model: RegisteredModel) -> None:
    for version in (1, 2, 3):
        model.make_champion(version)
    model.client.delete_model_version(model.name, "2")
    assert model.previous_champion() == 1
    model.restore_champion(1)
    assert (model.champion, model.previous_champion()) == (1, None)


def test_a_champion_chosen_by_hand_does_not_confuse(model: RegisteredModel) -> None:
    model.make_champion(1)
    model.make_champion(2)
    model.client.set_registered_model_alias(model.name, CHAMPION, "1")
    assert model.previous_champion() is None
    model.make_champion(3)
    assert model.previous_champion() == 1


def test_a_challenger_that_becomes_champion_loses_the_alias_challenger(model: RegisteredModel) -> None:
    model.make_champion(1)
    model.make_challenger(2)
    model.make_champion(3)
    assert model.challenger == 2
    model.make_champion(2)
    assert (model.champion, model.challenger) == (2, None)


@pytest.fixture(scope="module")
def uri(reviews: PreparedData, store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model, logged to a run."""
    folder = save_random_model(reviews, tmp_path_factory.mktemp("trained") / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        with training_run(make_provenance(reviews), folder.parent / "run.json") as run:
            return log_model(run, folder)


@pytest.fixture
def champions(uri: str, request: pytest.FixtureRequest) -> RegisteredModel:
    """A registered model whose versions 1, 2 and 3 became champion one after the other."""
    return with_versions(request.node.name, uri, 3)


def with_versions(name: str, uri: str, count: int) -> RegisteredModel:
    model = RegisteredModel(open_store(), name)
    model.client.create_registered_model(name)
    for version in range(1, count + 1):
        model.client.create_model_version(name, uri)
        model.make_champion(version)
    return model


def refused(model: RegisteredModel, version: int | None = None) -> str:
    with pytest.raises(ValueError) as error:
        model.roll_back(version)
    return str(error.value)


def test_the_champion_before_is_champion_again(champions: RegisteredModel) -> None:
    assert champions.roll_back() == (3, 2)
    assert champions.champion == 2


def test_each_roll_back_goes_one_further_until_there_is_none(champions: RegisteredModel) -> None:
    champions.roll_back()
    assert champions.roll_back() == (2, 1)
    assert "no version was champion before version 1" in refused(champions)
    assert champions.champion == 1


def test_a_version_may_be_named_and_that_can_be_undone(champions: RegisteredModel) -> None:
    assert champions.roll_back(1) == (3, 1)
    assert champions.roll_back() == (1, 3)
    assert champions.champion == 3


def test_a_version_that_is_not_there_is_named_with_those_that_are(champions: RegisteredModel) -> None:
    assert refused(champions, 4) == f"version=4: no such version of {champions.name}; accepted: 1, 2, 3"
    assert champions.champion == 3


def test_without_a_champion_there_is_nothing_to_go_back_from(champions: RegisteredModel) -> None:
    assert "dataset=nobody: no champion is registered" in refused(RegisteredModel(champions.client, "nobody"))


def test_a_version_that_does_not_load_leaves_the_champion(champions: RegisteredModel, tmp_path: Path) -> None:
    champions.client.create_model_version(champions.name, tmp_path.as_uri())
    assert f"models:/{champions.name}/4 does not load and predict" in refused(champions, 4)
    assert champions.champion == 3


def test_no_copy_of_a_version_in_a_store_elsewhere_is_left_behind(
    champions: RegisteredModel, artifacts_elsewhere: Path
) -> None:
    assert champions.predict(1) == champions.predict(2)
    assert list(artifacts_elsewhere.iterdir()) == []


def test_a_model_of_pairs_is_tried_on_a_pair(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "schema", replace(reviews.schema, is_pair=True))
    folder = save_random_model(reviews, tmp_path / "model")
    with training_run(make_provenance(reviews), tmp_path / "run.json") as run:
        uri = log_model(run, folder)
    assert with_versions("pairs", uri, 2).roll_back() == (2, 1)


@pytest.mark.parametrize(
    ("config", "texts", "expected"),
    [
        ({"task": "classification"}, None, {"text": ["not bad at all"]}),
        ({"is_pair": True}, None, {"text": ["not bad at all"], "text_pair": ["not bad at all"]}),
        ({"is_pair": True}, [["a", "b"], ["c", "d"]], {"text": ["a", "c"], "text_pair": ["b", "d"]}),
        ({"task": "labeling"}, None, {"tokens": [["not", "bad", "at", "all"]]}),
        ({"given_tokens": True}, None, {"tokens": [["not", "bad", "at", "all"]]}),
        ({"task": "labeling"}, ["a b", "c"], {"text": ["a b", "c"]}),
        ({"task": "labeling"}, [["a", "b"], ["c"]], {"tokens": [["a", "b"], ["c"]]}),
    ],
)
def test_a_version_predicts_from_the_columns_that_it_takes(
    config: dict[str, Any], texts: Any, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Mock()
    loaded.predict.side_effect = lambda frame: frame

    def fetch(client: object, uri: str, folder: Path) -> None:
        (folder / "artifacts" / "model").mkdir(parents=True)
        facts = {"task": "classification", "is_pair": False} | config
        write_json(folder / "artifacts" / "model" / "config.json", facts)

    monkeypatch.setattr("unroll.registry.registered_model.fetch_model", fetch)
    monkeypatch.setattr("mlflow.pyfunc.load_model", lambda uri: loaded)
    found = RegisteredModel(Mock(), "reviews").predict(1, texts)
    assert found == pd.DataFrame(expected).to_dict("records")
