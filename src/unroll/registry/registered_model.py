"""A registered model: its versions, its aliases `champion` and `challenger`, and roll-back to an earlier champion."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from unroll.data.tokens import TOKEN_TASKS
from unroll.exceptions import without_password
from unroll.files import read_json, reason
from unroll.inference.model_folder import CONFIG
from unroll.tracking.models import fetch_model

CHAMPION = "champion"
CHALLENGER = "challenger"
EARLIER = "champion.earlier"  # tag of the registered model: the versions that were champion before, the latest last
NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # of a model or version, and of an alias
SAMPLE = "not bad at all"

Texts = list[str] | list[list[str]]


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model in the MLflow store of `client`.

    The alias `champion` marks the version in use, `challenger` the newest version that did not become champion. Earlier
    champions are recorded in a tag.
    """

    client: MlflowClient
    name: str

    @property
    def champion(self) -> int | None:
        return _number(self.aliased(CHAMPION))

    @property
    def challenger(self) -> int | None:
        return _number(self.aliased(CHALLENGER))

    def aliased(self, alias: str) -> ModelVersion | None:
        try:
            return self.client.get_model_version_by_alias(self.name, alias)
        except MlflowException as error:
            if error.error_code in NOT_FOUND:
                return None
            raise

    def versions(self) -> list[int]:
        """The versions that are not deleted, in ascending order."""
        return sorted(int(it.version) for it in self.client.search_model_versions(f'name = "{self.name}"'))

    def find_version(self, run_ids: Sequence[str]) -> ModelVersion | None:
        """The version that was registered from exactly these runs; the first is the run of its network."""
        versions = self.client.search_model_versions(f"name = '{self.name}' and run_id = '{run_ids[0]}'")
        return next((version for version in versions if version.tags.get("runs") == " ".join(run_ids)), None)

    def create_version(self, run_ids: Sequence[str], uri: str) -> ModelVersion:
        """Register the logged model `uri` of the first run; creates the registered model if it does not exist."""
        try:
            self.client.create_registered_model(
                self.name,
                description=f"`models:/{self.name}@champion` is in use; `models:/{self.name}@challenger` is the newest "
                "version that did not become champion. The description of each version contains the reason.",
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.client.create_model_version(
            self.name,
            source=uri,
            run_id=run_ids[0],
            tags={"runs": " ".join(run_ids)},
            description="Not decided yet.",
            model_id=uri.removeprefix("models:/"),  # a server requires it together with the source
        )

    def tag_version(self, version: int, tags: dict[str, str]) -> None:
        for key, value in tags.items():
            self.client.set_model_version_tag(self.name, str(version), key, value)

    def make_champion(self, version: int) -> None:
        """Make a version the champion, and record the present champion as an earlier one."""
        present = self.champion
        if present not in (None, version):
            self._record_earlier([*self._earlier(), present])
        self._move_champion(version)

    def make_challenger(self, version: int) -> None:
        self.client.set_registered_model_alias(self.name, CHALLENGER, str(version))

    def previous_champion(self) -> int | None:
        """The version that was champion before the present one and has not been deleted."""
        accepted = set(self.versions()) - {self.champion}
        return next((it for it in reversed(self._earlier()) if it in accepted), None) if accepted else None

    def restore_champion(self, version: int) -> None:
        """Make an earlier champion the champion again, and remove it and later ones from the record."""
        earlier = self._earlier()
        while earlier.pop() != version:
            pass
        self._move_champion(version)
        self._record_earlier(earlier)

    def roll_back(self, version: int | None = None) -> tuple[int | None, int]:
        """Make `version`, or else the previous champion, the champion; return the versions before and after.

        There is no version before if the champion, or its alias, was deleted in MLflow. The alias moves after the
        version has been loaded and has predicted the labels of a text.

        Raises:
            ValueError: there is no version, no previous champion, no such version, or the version does not work.
        """
        present, versions = self.champion, self.versions()
        if not versions:
            names = ", ".join(it.name for it in self.client.search_registered_models()) or "none"
            raise ValueError(
                f"dataset={self.name}: no champion is registered, nor any version, in the MLflow store at "
                f"{without_password(self.client.tracking_uri)} (registered models: {names}); "
                f"first: python pipelines/register.py dataset={self.name}"
            )
        chosen = self.previous_champion() if version is None else version
        accepted = f"accepted: {', '.join(map(str, versions))}"
        if chosen is None:
            before = "earlier, and none is now" if present is None else f"before version {present}"
            message = f"no version was champion {before}; choose one with version=N; {accepted}"
            raise ValueError(f"dataset={self.name}: {message}")
        if chosen not in versions:
            raise ValueError(f"version={chosen}: no such version of {self.name}; {accepted}")
        try:
            self.predict(chosen)
        except Exception as error:  # the code of a model may raise anything
            raise ValueError(
                f"models:/{self.name}/{chosen} does not load and predict ({reason(error)}): the champion is not "
                "changed; to choose another version: version=N"
            ) from error
        (self.restore_champion if version is None else self.make_champion)(chosen)
        return present, chosen

    def predict(self, version: int, texts: Texts | None = None) -> list[dict[str, Any]]:
        """Load a version from the registry and predict `texts`, or one sample.

        Raises:
            ValueError: it does not exist, is not what was logged, or cannot be loaded.
        """
        uri = f"models:/{self.name}/{version}"
        path = list(sys.path)
        with tempfile.TemporaryDirectory() as folder:
            fetch_model(self.client, uri, Path(folder))
            try:
                loaded = mlflow.pyfunc.load_model(folder)
            except Exception as error:  # the code of a model may raise anything
                raise ValueError(f"{uri} cannot be loaded: {reason(error)}") from error
            finally:  # MLflow puts the code of the model before the path, which later processes would have
                sys.path[:] = path
            predictions: list[dict[str, Any]] = loaded.predict(_frame(Path(folder), texts)).to_dict("records")
        return predictions

    def _earlier(self) -> list[int]:
        tag: str = self.client.get_registered_model(self.name).tags.get(EARLIER, "")
        if not all(version.isdecimal() for version in tag.split()):
            raise ValueError(
                f"the tag {EARLIER} of the registered model {self.name} is {tag!r}; accepted: version numbers, the "
                "latest last, separated by spaces; or no tag"
            )
        return [int(version) for version in tag.split()]

    def _record_earlier(self, versions: Sequence[int | None]) -> None:
        self.client.set_registered_model_tag(self.name, EARLIER, " ".join(map(str, versions)))

    def _move_champion(self, version: int) -> None:
        self.client.set_registered_model_alias(self.name, CHAMPION, str(version))
        if self.challenger == version:
            self.client.delete_registered_model_alias(self.name, CHALLENGER)


def _frame(logged: Path, texts: Texts | None) -> pd.DataFrame:
    """The texts, or one sample, as the columns that the model in the folder of a logged model takes."""
    config = read_json(next(logged.glob(f"artifacts/*/{CONFIG}")), keys=("task", "is_pair"))
    if config["is_pair"]:
        return pd.DataFrame(texts or [[SAMPLE, SAMPLE]], columns=["text", "text_pair"])
    if not texts:
        texts = [SAMPLE.split()] if config.get("given_tokens") or config["task"] in TOKEN_TASKS else [SAMPLE]
    return pd.DataFrame({"text" if isinstance(texts[0], str) else "tokens": texts})


def _number(version: ModelVersion | None) -> int | None:
    return None if version is None else int(version.version)
