"""Registers a candidate as a version of a model, and makes it champion if it passes the gate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run as TrackingRun
from mlflow.entities.model_registry import ModelVersion

from unroll.evaluation.runs import Run, check_scored_on
from unroll.exceptions import StoreError
from unroll.files import check_files, make_folder, write_json, write_text
from unroll.inference.predictor import Predictor
from unroll.registry.candidate import Candidate
from unroll.registry.card import description_of, write_card
from unroll.registry.gate import Contender, Decision, Gate, decide
from unroll.registry.lineage import Lineage, find_lineage
from unroll.registry.registered_model import CHAMPION, RegisteredModel, Texts
from unroll.tracking.models import registrable_model_uri
from unroll.tracking.offline import UPLOAD, requiring
from unroll.tracking.runs import TrackedRun, get_run
from unroll.tracking.store import open_store
from unroll.tracking.upload import DEVICE, EVALUATED_ON, logged_predictions

CARD = "model_card.md"
PRECISION = 1e-5  # of probabilities
TIMED = {"training_seconds": DEVICE, "tokens_per_second": EVALUATED_ON}  # costs, and the tags of their devices
COMPARED = ("model", "runs", "dataset.checksum", "monitor")  # tags of a champion that a comparison needs
DECIDED = {"decision", "gate.champion"}  # tags that complete a version


@dataclass(frozen=True)
class Registration:
    """The result of a registration: the version, whether and why it became champion, and its model card."""

    registered_model: str
    version: int
    champion: bool
    reason: str
    card: str

    def facts(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "card"}


def register_best(
    dataset: str, candidate: Candidate, rivals: Sequence[Run], gate: Gate, texts: Texts, output: Path
) -> Registration:
    """Register the candidate as :func:`register` does; write ``champion.json`` and ``model_card.md`` to `output`.

    Raises:
        ValueError: the runs are of another dataset or scored on other data; or as :func:`register`.
    """
    check_scored_on(rivals, candidate.data)
    if (found := rivals[0].dataset) != dataset:
        folder = candidate.folder.parent
        raise ValueError(f"runs={folder} are of {found}; accepted with dataset={dataset}: runs of that")
    with requiring():
        registration = register(candidate, rivals, gate, texts)
    make_folder(output)
    write_json(output / "champion.json", registration.facts())
    write_text(output / CARD, registration.card)
    return registration


def register(candidate: Candidate, rivals: Sequence[Run], gate: Gate, texts: Texts) -> Registration:
    """Register the candidate as a version of the model that is named after the dataset, and apply the gate.

    Before an alias moves, the version is loaded from the registry and its predictions for `texts` are compared with
    those of the model folder. Runs that are registered already are not registered again, unless there is no champion.

    Args:
        rivals: all runs that the candidate was chosen from.

    Raises:
        ValueError: a run is incomplete in the store, its lineage too (see :func:`find_lineage`), predictions differ,
            or the champion has nothing that the candidate can be compared with.
    """
    for run in candidate.runs:
        folder = candidate.run_folder(run)
        for part in (folder.model, folder.provenance):
            check_files(part, f"recreate it with {folder.command(part.name)}")
    client = open_store()
    model, trained = RegisteredModel(client, candidate.best.dataset), candidate.run_ids
    # an id in the store can differ from the one on disk
    own = [replace(run, run_id=get_run(client, run.run_id).info.run_id) for run in candidate.runs]
    candidate = replace(candidate, runs=own)
    version = model.find_version(candidate.run_ids) or model.find_version(trained)
    if version is not None and version.tags.keys() >= DECIDED and model.champion is not None:
        return _present_registration(client, version, candidate, rivals, gate)
    lineage = find_lineage(client, candidate)
    if version is None:
        uri = registrable_model_uri(
            TrackedRun(client, candidate.best.run_id), candidate.run_folder(candidate.best).model
        )
        version = model.create_version(candidate.run_ids, uri)
    number = int(version.version)
    _record_lineage(model, number, candidate, lineage)
    _check_predictions(model, number, candidate, texts)
    decision = _decide(model, number, candidate, gate)
    card = write_card(candidate, rivals, number, lineage.tags, decision, gate.level)
    client.log_text(candidate.best.run_id, card, f"{_artifacts(number)}/{CARD}")
    client.update_model_version(model.name, str(number), description_of(card))
    (model.make_champion if decision.wins else model.make_challenger)(number)
    figures = {f"gate.{name}": repr(value) for name, value in decision.figures.items()}
    outcome = {"gate.champion": str(decision.wins).lower(), "decision": decision.reason}  # last: marks completion
    model.tag_version(number, figures | outcome)
    return Registration(model.name, number, decision.wins, decision.reason, card)


def _present_registration(
    client: MlflowClient, version: ModelVersion, candidate: Candidate, rivals: Sequence[Run], gate: Gate
) -> Registration:
    """The result of the registration of a version that is complete."""
    number, run_id = int(version.version), candidate.best.run_id
    decision = Decision(version.tags["gate.champion"] == "true", version.tags["decision"], {})
    path = f"{_artifacts(number)}/{CARD}"
    if path in {file.path for file in client.list_artifacts(run_id, _artifacts(number))}:
        card = str(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))
    else:  # the run was deleted, and uploaded again
        origin = {"dataset.path": candidate.data.description["source"]["path"]}
        origin |= {key: value for key, value in version.tags.items() if key.startswith(("git", "dvc", "dataset"))}
        card = write_card(candidate, rivals, number, origin, decision, gate.level)
        client.log_text(run_id, card, path)
    return Registration(version.name, number, decision.wins, decision.reason, card)


def _record_lineage(model: RegisteredModel, number: int, candidate: Candidate, lineage: Lineage) -> None:
    """Tag the version with its lineage, and log ``dvc.lock`` as an artifact of its run."""
    best = candidate.best
    facts = {"model": best.model, "seed": str(best.seed), "monitor": best.monitor}
    model.tag_version(number, facts | {"validation_mean": repr(candidate.score)} | lineage.tags)
    if lineage.lock is not None:
        model.client.log_text(best.run_id, lineage.lock.decode(), f"{_artifacts(number)}/dvc.lock")


def _artifacts(number: int) -> str:
    """The artifact folder of a version in its run; a run has several versions if seeds were added later."""
    return f"registry/version-{number}"


def _check_predictions(model: RegisteredModel, number: int, candidate: Candidate, texts: Texts) -> None:
    folder = candidate.run_folder(candidate.best).model
    found, expected = model.predict(number, texts), Predictor.load(folder).predict(texts)
    if not equal_answers(found, expected):
        raise ValueError(
            f"version {number} of {model.name}, loaded from the registry, predicts {found[0]}, but {folder} predicts "
            f"{expected[0]}: the champion is not changed"
        )


def equal_answers(found: Any, expected: Any) -> bool:
    """Whether answers are equal, probabilities up to the rounding of ONNX Runtime and PyTorch."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(equal_answers(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(equal_answers, found, expected))
    if isinstance(expected, float):
        return abs(found - expected) <= PRECISION
    return bool(found == expected)


def _decide(model: RegisteredModel, number: int, candidate: Candidate, gate: Gate) -> Decision:
    """Whether the version becomes champion, and why."""
    mine = f"{candidate.best.model} (mean {candidate.best.monitor} {candidate.score:.4f})"
    present = model.aliased(CHAMPION)
    if present is None:
        others = model.versions() != [1]
        why = f"is champion, because no other version had the alias {CHAMPION}" if others else "is the first champion"
        return Decision(True, f"{mine} {why}", {})
    if int(present.version) == number:
        return Decision(True, f"{mine} is the champion already", {})
    try:
        if missing := [tag for tag in COMPARED if not present.tags.get(tag)]:
            raise ValueError(f"it has no tag {' and no tag '.join(missing)}; to set it again: the page of the version")
        theirs = f"version {present.version} ({present.tags['model']})"
        if present.tags["dataset.checksum"] != candidate.data.checksum:
            return Decision(True, f"{mine} replaces {theirs}, which was scored on other data", {})
        if present.tags["monitor"] != candidate.best.monitor:
            return Decision(True, f"{mine} replaces {theirs}, which was chosen by another metric", {})
        champion = _contender(model.client, theirs, present.tags["runs"].split(), gate)
    except ValueError as error:
        raise StoreError(
            f"version {present.version} of {model.name}, the champion, cannot be compared with the new version "
            f"{number}: {error}. Otherwise, remove the alias {CHAMPION} from version {present.version} in MLflow, so "
            f"that version {number} replaces it without a comparison; or make another version champion: "
            f"python pipelines/rollback.py dataset={model.name} version=N; then repeat this command"
        ) from error
    challenger = _contender(model.client, candidate.best.model, candidate.run_ids, gate)
    return decide(challenger, champion, candidate.data.task, gate)


def _contender(client: MlflowClient, name: str, run_ids: Sequence[str], gate: Gate) -> Contender:
    """Predictions and costs from the store, because the run folders may have changed since."""
    runs = [get_run(client, run_id) for run_id in run_ids]
    predictions = [logged_predictions(client, run.info.run_id) for run in runs]
    tag = TIMED.get(gate.cost)
    devices = sorted({run.data.tags.get(tag, "") for run in runs}) if tag else []
    return Contender(name, predictions, fmean(_cost(run, gate) for run in runs), " and ".join(devices))


def _cost(run: TrackingRun, gate: Gate) -> float:
    if gate.cost not in run.data.metrics:
        raise StoreError(f"run {run.info.run_id} has no metric {gate.cost}: evaluate it, or upload it with {UPLOAD}")
    return float(run.data.metrics[gate.cost])
