"""The aliases of a registered model: `champion` is in use, `challenger` the newest version that did not become it.

The champions before the present one stand in a tag of the registered model, the latest last.
"""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

CHAMPION = "champion"
CHALLENGER = "challenger"
EARLIER = "champion.earlier"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model or version; no such alias


def aliased(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that has the alias."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def has_version(client: MlflowClient, name: str, version: int) -> bool:
    try:
        client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code in ABSENT:
            return False
        raise
    return True


def crown(client: MlflowClient, name: str, version: int) -> None:
    """Make a version champion, and remember the present one."""
    present = champion(client, name)
    if present not in (None, version):
        _remember(client, name, [*_earlier(client, name), present])
    _move(client, name, version)


def challenge(client: MlflowClient, name: str, version: int) -> None:
    """Make a version the challenger."""
    client.set_registered_model_alias(name, CHALLENGER, str(version))


def champion(client: MlflowClient, name: str) -> int | None:
    """The champion's version."""
    version = aliased(client, name, CHAMPION)
    return None if version is None else int(version.version)


def previous_champion(client: MlflowClient, name: str) -> int | None:
    """The version that was champion before the present one, and still is there."""
    present = champion(client, name)
    there = (version for version in reversed(_earlier(client, name)) if has_version(client, name, version))
    return next((version for version in there if version != present), None)


def crown_again(client: MlflowClient, name: str, version: int) -> None:
    """Make an earlier champion champion again, and forget those that came after it."""
    earlier = _earlier(client, name)
    while earlier.pop() != version:
        pass
    _move(client, name, version)
    _remember(client, name, earlier)


def _earlier(client: MlflowClient, name: str) -> list[int]:
    tag: str = client.get_registered_model(name).tags.get(EARLIER, "")
    return [int(version) for version in tag.split()]


def _remember(client: MlflowClient, name: str, versions: list[int]) -> None:
    client.set_registered_model_tag(name, EARLIER, " ".join(map(str, versions)))


def _move(client: MlflowClient, name: str, version: int) -> None:
    client.set_registered_model_alias(name, CHAMPION, str(version))
    challenger = aliased(client, name, CHALLENGER)
    if challenger is not None and int(challenger.version) == version:
        client.delete_registered_model_alias(name, CHALLENGER)
