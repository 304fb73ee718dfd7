"""The model registry: a candidate becomes a version, and champion if the gate lets it pass."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from unroll.evaluation.runs import Run
from unroll.inference.predictor import Predictor
from unroll.registry.aliases import CHAMPION, aliased, challenge, crown
from unroll.registry.candidate import Candidate
from unroll.registry.card import description_of, write_card
from unroll.registry.gate import Contender, Decision, Gate, decide
from unroll.registry.lineage import Lineage, find_lineage
from unroll.tracking.evaluations import logged_predictions
from unroll.tracking.models import model_uri
from unroll.tracking.runs import get_run
from unroll.tracking.store import open_store

Texts = list[str] | list[list[str]]
CARD = "model_card.md"


@dataclass(frozen=True)
class Registration:
    """What became of a candidate: its version, whether that became champion then and why, and the model card."""

    registered_model: str
    version: int
    champion: bool
    reason: str
    card: str

    def facts(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "card"}


def register(candidate: Candidate, rivals: Sequence[Run], gate: Gate, texts: Texts) -> Registration:
    """Make the candidate a version of the registered model that has the dataset's name, and let the gate decide.

    Before an alias moves, the version is loaded back from the registry and has to label `texts` as the model folder
    does. The same runs are one version: registering them again changes nothing.

    Args:
        rivals: all runs that the candidate was chosen from.

    Raises:
        ValueError: the store cannot be used or lacks something of a run, the candidate's lineage is not complete (see
            `find_lineage`), or the version that came back labels otherwise.
    """
    client = open_store()
    candidate = candidate.of_store(client)
    version = _version_of(client, candidate)
    if version is not None and "decision" in version.tags:
        return _registered(client, candidate, version)
    lineage = find_lineage(client, candidate)
    number = int((version or _create_version(client, candidate)).version)
    _record(client, candidate, number, lineage)
    _try_out(candidate, number, texts)
    decision = _decide(client, candidate, number, gate)
    card = write_card(candidate, rivals, number, lineage, decision, gate.level)
    client.log_text(candidate.best.run_id, card, f"{_artifacts(number)}/{CARD}")
    client.update_model_version(candidate.best.dataset, str(number), description_of(card))
    (crown if decision.wins else challenge)(client, candidate.best.dataset, number)
    outcome = {"gate.champion": str(decision.wins).lower(), "decision": decision.reason}  # last: all is done
    figures = {f"gate.{name}": repr(value) for name, value in decision.figures.items()}
    _tag(client, candidate, number, figures | outcome)
    return Registration(candidate.best.dataset, number, decision.wins, decision.reason, card)


def _version_of(client: MlflowClient, candidate: Candidate) -> ModelVersion | None:
    """The version that these runs already are, if they were registered before."""
    filter_string = f"name = '{candidate.best.dataset}' and run_id = '{candidate.best.run_id}'"
    versions = client.search_model_versions(filter_string)
    return next((version for version in versions if version.tags.get("runs") == " ".join(candidate.run_ids)), None)


def _registered(client: MlflowClient, candidate: Candidate, version: ModelVersion) -> Registration:
    """What `register` returned when it made the version."""
    path = f"{_artifacts(int(version.version))}/{CARD}"
    with tempfile.TemporaryDirectory() as work:
        card = Path(client.download_artifacts(candidate.best.run_id, path, work)).read_text(encoding="utf-8")
    tags = version.tags
    return Registration(version.name, int(version.version), tags["gate.champion"] == "true", tags["decision"], card)


def _create_version(client: MlflowClient, candidate: Candidate) -> ModelVersion:
    name, run_id = candidate.best.dataset, candidate.best.run_id
    uri = model_uri(client, run_id)
    try:
        client.create_registered_model(
            name,
            description=f"`models:/{name}@champion` is in use; `models:/{name}@challenger` is the newest version that "
            "did not become champion. Each version says why.",
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(
        name,
        source=uri,
        run_id=run_id,
        tags={"runs": " ".join(candidate.run_ids)},
        description="Not decided yet.",
        model_id=uri.removeprefix("models:/"),  # a server refuses the source without it
    )


def _record(client: MlflowClient, candidate: Candidate, number: int, lineage: Lineage) -> None:
    """What the version is and where it comes from, as tags, and dvc.lock as an artifact of its run."""
    best = candidate.best
    facts = {"model": best.model, "seed": str(best.seed), "monitor": best.monitor}
    _tag(client, candidate, number, facts | {"validation_mean": repr(candidate.score)} | lineage.tags())
    if lineage.lock is not None:
        with tempfile.TemporaryDirectory() as work:
            (Path(work) / "dvc.lock").write_bytes(lineage.lock)
            client.log_artifact(best.run_id, f"{work}/dvc.lock", _artifacts(number))


def _artifacts(number: int) -> str:
    """The folder of a version among the artifacts of its run, which may be several versions' as seeds are added."""
    return f"registry/version-{number}"


def _tag(client: MlflowClient, candidate: Candidate, number: int, tags: dict[str, str]) -> None:
    for key, value in tags.items():
        client.set_model_version_tag(candidate.best.dataset, str(number), key, value)


def _try_out(candidate: Candidate, number: int, texts: Texts) -> None:
    name, folder = candidate.best.dataset, candidate.run_folder(candidate.best) / "model"
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/{number}")
    is_pair = not isinstance(texts[0], str)
    frame = pd.DataFrame(texts, columns=["text", "text_pair"] if is_pair else ["text"])
    answers = loaded.predict(frame).to_dict("records")
    expected = Predictor.load(folder).predict(texts)
    if answers != expected:
        raise ValueError(
            f"version {number} of {name} was loaded back and answers {answers[0]}, but {folder} answers "
            f"{expected[0]}: not made champion"
        )


def _decide(client: MlflowClient, candidate: Candidate, number: int, gate: Gate) -> Decision:
    """Whether the candidate is champion after this, and why."""
    mine = f"{candidate.best.model} (mean {candidate.best.monitor} {candidate.score:.4f})"
    present = aliased(client, candidate.best.dataset, CHAMPION)
    if present is None:
        return Decision(True, f"{mine} is the first champion", {})
    if int(present.version) == number:
        return Decision(True, f"{mine} is the champion already", {})
    theirs = f"version {present.version} ({present.tags.get('model')})"
    if present.tags.get("dataset.checksum") != candidate.data.checksum:
        return Decision(True, f"{mine} replaces {theirs}, which was scored on other data", {})
    if present.tags.get("monitor") != candidate.best.monitor:
        return Decision(True, f"{mine} replaces {theirs}, which was chosen by another metric", {})
    challenger = _contender(client, candidate.best.model, candidate.run_ids, gate)
    champion = _contender(client, theirs, str(present.tags.get("runs", present.run_id)).split(), gate)
    return decide(challenger, champion, candidate.data.task, gate)


def _contender(client: MlflowClient, name: str, run_ids: Sequence[str], gate: Gate) -> Contender:
    """As the store has it: folders may have changed since."""
    predictions = [logged_predictions(client, run_id) for run_id in run_ids]
    costs = [get_run(client, run_id).data.metrics[gate.cost] for run_id in run_ids]
    return Contender(name, predictions, sum(costs) / len(costs))
