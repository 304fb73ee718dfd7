"""Roll-back: `champion` goes back to a version that it was before."""

import mlflow
import pandas as pd
from mlflow import MlflowClient

from unroll.registry.aliases import champion, crown, crown_again, has_version, previous_champion
from unroll.tracking.store import open_store

SAMPLE = "not bad at all"


def roll_back(name: str, version: int | None = None) -> tuple[int, int]:
    """Make `version` champion, or else the champion before the present one; return the versions before and after.

    The version has to load and to answer before the alias moves.

    Raises:
        ValueError: there is no champion, none before it, no such version, or it does not load.
    """
    client = open_store()
    present = champion(client, name)
    if present is None:
        raise ValueError(f"dataset={name}: no champion is registered; first: python pipelines/register.py")
    chosen = _previous(client, name, present) if version is None else _named(client, name, version)
    _try_out(name, chosen)
    (crown_again if version is None else crown)(client, name, chosen)
    return present, chosen


def _previous(client: MlflowClient, name: str, present: int) -> int:
    version = previous_champion(client, name)
    if version is None:
        raise ValueError(f"dataset={name}: no version was champion before version {present}; name one with version=N")
    return version


def _named(client: MlflowClient, name: str, version: int) -> int:
    if not has_version(client, name, version):
        there = sorted(int(found.version) for found in client.search_model_versions(f"name = '{name}'"))
        raise ValueError(f"version={version}: {name} has no such version; it has {', '.join(map(str, there))}")
    return version


def _try_out(name: str, version: int) -> None:
    uri = f"models:/{name}/{version}"
    try:
        loaded = mlflow.pyfunc.load_model(uri)
        loaded.predict(pd.DataFrame({column: [SAMPLE] for column in loaded.metadata.get_input_schema().input_names()}))
    except Exception as error:  # whatever a model's own code raises
        raise ValueError(f"{uri} does not load and answer ({error}): champion stays what it is") from error
