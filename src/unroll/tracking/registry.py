"""The model registry: a winner becomes a version, and champion if it beats the present one."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from unroll.serving.predictor import Predictor
from unroll.tracking.store import open_store

Texts = list[str] | list[list[str]]
CHAMPION = "champion"


@dataclass(frozen=True)
class Candidate:
    """The run that stands for the best model of a dataset.

    Args:
        score: the model's mean validation score over its seeds, by which champions are compared.
        monitor: the name of that score.
        checksum: of the prepared data that it was scored on.
        folder: the trained model's folder.
    """

    dataset: str
    model: str
    seed: int
    run_id: str
    model_uri: str
    score: float
    monitor: str
    checksum: str
    folder: Path


def register(candidate: Candidate, texts: Texts) -> dict[str, Any]:
    """Make the candidate a version of the registered model `dataset`; return the decision and its reasons.

    Before the alias may move, the version is loaded back from the registry and has to label `texts` as the model
    folder does.

    Raises:
        ValueError: the store cannot be used, or the version that came back labels otherwise.
    """
    client = open_store()
    version = _version_of(client, candidate) or _create_version(client, candidate)
    _try_out(candidate, version, texts)
    present = _champion(client, candidate.dataset)
    wins, reason = _decide(candidate, version, present)
    if wins:
        client.set_registered_model_alias(candidate.dataset, CHAMPION, version.version)
    decision = {
        "registered_model": candidate.dataset,
        "version": int(version.version),
        "champion": wins,
        "reason": reason,
        **{key: value for key, value in asdict(candidate).items() if key != "folder"},
    }
    client.set_model_version_tag(candidate.dataset, version.version, "decision", reason)
    return decision


def _version_of(client: MlflowClient, candidate: Candidate) -> ModelVersion | None:
    """The version that this run already is, if the stage ran before."""
    found = client.search_model_versions(f"name = '{candidate.dataset}' and run_id = '{candidate.run_id}'")
    return found[0] if found else None


def _create_version(client: MlflowClient, candidate: Candidate) -> ModelVersion:
    try:
        client.create_registered_model(candidate.dataset)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version: ModelVersion = client.create_model_version(
        candidate.dataset,
        source=candidate.model_uri,
        run_id=candidate.run_id,
        tags={
            "model": candidate.model,
            "seed": str(candidate.seed),
            "monitor": candidate.monitor,
            "validation_mean": repr(candidate.score),
            "dataset.checksum": candidate.checksum,
        },
        description=f"{candidate.model}, seed {candidate.seed}: best mean {candidate.monitor} over seeds, "
        f"{candidate.score:.4f}",
    )
    return version


def _try_out(candidate: Candidate, version: ModelVersion, texts: Texts) -> None:
    loaded = mlflow.pyfunc.load_model(f"models:/{candidate.dataset}/{version.version}")
    is_pair = not isinstance(texts[0], str)
    frame = pd.DataFrame(texts, columns=["text", "text_pair"] if is_pair else ["text"])
    answers = loaded.predict(frame).to_dict("records")
    expected = Predictor.load(candidate.folder).predict(texts)
    if answers != expected:
        raise ValueError(
            f"version {version.version} of {candidate.dataset} was loaded back and answers {answers[0]}, "
            f"but {candidate.folder} answers {expected[0]}: not made champion"
        )


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return None


def _decide(candidate: Candidate, version: ModelVersion, present: ModelVersion | None) -> tuple[bool, str]:
    """Whether the candidate is champion after this, and why."""
    mine = f"{candidate.model} with mean {candidate.monitor} {candidate.score:.4f}"
    if present is None:
        return True, f"{mine} is the first champion"
    if present.version == version.version:
        return True, f"{mine} is the champion already"
    if present.tags.get("dataset.checksum") != candidate.checksum:
        return True, f"{mine} replaces version {present.version}, which was scored on other data"
    theirs = float(present.tags["validation_mean"])
    if candidate.score > theirs:
        return True, f"{mine} beats version {present.version} with {theirs:.4f}"
    return False, f"{mine} does not beat the champion, version {present.version} with {theirs:.4f}"
