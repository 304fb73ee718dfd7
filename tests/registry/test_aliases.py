import pytest
from mlflow import MlflowClient

from unroll.registry.aliases import (
    CHALLENGER,
    CHAMPION,
    aliased,
    challenge,
    champion,
    crown,
    crown_again,
    has_version,
    previous_champion,
)
from unroll.tracking.store import open_store


@pytest.fixture
def client() -> MlflowClient:
    return open_store()


@pytest.fixture
def name(client: MlflowClient, request: pytest.FixtureRequest) -> str:
    """A registered model with versions 1, 2 and 3."""
    client.create_registered_model(request.node.name)
    for _ in range(3):
        client.create_model_version(request.node.name, "s3://somewhere/else")
    return str(request.node.name)


def challenger(client: MlflowClient, name: str) -> int | None:
    version = aliased(client, name, CHALLENGER)
    return None if version is None else int(version.version)


def test_an_unknown_model_and_one_without_aliases_have_no_champion(client: MlflowClient, name: str) -> None:
    assert champion(client, "nobody's") is None
    assert champion(client, name) is None
    assert previous_champion(client, name) is None


def test_versions_are_known_by_their_numbers(client: MlflowClient, name: str) -> None:
    assert has_version(client, name, 3)
    assert not has_version(client, name, 4)
    assert not has_version(client, "nobody's", 1)


def test_the_champion_before_is_remembered(client: MlflowClient, name: str) -> None:
    for version in (1, 2, 3):
        crown(client, name, version)
    assert champion(client, name) == 3
    assert previous_champion(client, name) == 2


def test_a_champion_that_is_crowned_twice_is_not_its_own_predecessor(client: MlflowClient, name: str) -> None:
    for version in (1, 2, 2):
        crown(client, name, version)
    assert previous_champion(client, name) == 1


def test_going_back_goes_further_back_each_time(client: MlflowClient, name: str) -> None:
    for version in (1, 2, 3):
        crown(client, name, version)
    crown_again(client, name, 2)
    assert (champion(client, name), previous_champion(client, name)) == (2, 1)
    crown_again(client, name, 1)
    assert (champion(client, name), previous_champion(client, name)) == (1, None)


def test_a_champion_that_was_deleted_is_skipped(client: MlflowClient, name: str) -> None:
    for version in (1, 2, 3):
        crown(client, name, version)
    client.delete_model_version(name, "2")
    assert previous_champion(client, name) == 1
    crown_again(client, name, 1)
    assert (champion(client, name), previous_champion(client, name)) == (1, None)


def test_a_champion_chosen_by_hand_does_not_confuse(client: MlflowClient, name: str) -> None:
    crown(client, name, 1)
    crown(client, name, 2)
    client.set_registered_model_alias(name, CHAMPION, "1")
    assert previous_champion(client, name) is None
    crown(client, name, 3)
    assert previous_champion(client, name) == 1


def test_a_challenger_that_becomes_champion_is_challenger_no_more(client: MlflowClient, name: str) -> None:
    crown(client, name, 1)
    challenge(client, name, 2)
    crown(client, name, 3)
    assert challenger(client, name) == 2
    crown(client, name, 2)
    assert (champion(client, name), challenger(client, name)) == (2, None)
