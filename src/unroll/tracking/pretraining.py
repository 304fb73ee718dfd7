"""A pretraining in MLflow: a run of the experiment ``pretraining``, and a version of a registered model."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric
from mlflow.exceptions import MlflowException

from unroll.files import check_files, read_json
from unroll.pretraining.pretrain import CARD, RECORD
from unroll.tracking.git import changed_code, source_tags
from unroll.tracking.models import find_model
from unroll.tracking.offline import is_store_error, log, reason
from unroll.tracking.provenance import PROVENANCE, Provenance, installed_packages
from unroll.tracking.runs import TrackedRun, create_run, deletion, look_up, training_run
from unroll.tracking.store import open_store

EXPERIMENT = "pretraining"


@dataclass
class PretrainingRun:
    """The MLflow run of a pretraining, which continues if the store fails; `complete` logs what is missing then."""

    run: TrackedRun
    is_lost: bool = False

    @property
    def run_id(self) -> str:
        return self.run.run_id

    def log_epoch(self, epoch: int, figures: dict[str, float]) -> None:
        """Print the figures of an epoch, and log them with the epoch as the step."""
        print(f"epoch {epoch}: {', '.join(f'{key} {value:,.4g}' for key, value in figures.items())}", flush=True)
        if self.is_lost:
            return
        try:
            _log(self.run.client, self.run_id, [{"epoch": epoch, **figures}])
        except Exception as error:
            if not is_store_error(error):
                raise
            self.is_lost = True
            log.warning("warning: MLflow fails (%s); the pretraining continues without it", reason(error))


def provenance_of(config: Mapping[str, Any], overrides: list[str], origin: str, checksum: str) -> Provenance:
    """The provenance of a pretraining that starts now, on a corpus from `origin` with this checksum."""
    of_corpus = {"dataset.path": origin, "dataset.checksum": checksum, "kind": EXPERIMENT}
    tags = source_tags("pretrain") | of_corpus
    return Provenance(EXPERIMENT, config["name"], dict(config), overrides, tags, changed_code(), installed_packages())


@contextmanager
def pretraining_run(provenance: Provenance, record: Path) -> Iterator[PretrainingRun]:
    """Open the run of a pretraining, or the one in the file `record` again; see `training_run`."""
    with training_run(provenance, record) as run:
        yield PretrainingRun(run)


def complete(folder: Path) -> tuple[str, int]:
    """Log what MLflow lacks of the pretrained weights in a folder; return the registered model and its version.

    Raises:
        ValueError: the store cannot be used, the run is deleted, or the folder is damaged.
    """
    check_files(folder, "pretrain again")
    record, client = read_json(folder / RECORD, keys=("run_id", "name", "history")), open_store()
    run = look_up(client, record["run_id"])
    if run is None:
        provenance = Provenance.load(folder / PROVENANCE)
        run = client.get_run(create_run(client, provenance, original_id=record["run_id"]))
    if error := deletion(client, run):
        raise error
    run_id, name = run.info.run_id, f"pretrained-{record['name']}"
    present = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    if present and run.info.status == "FINISHED":
        return name, max(int(it.version) for it in present)
    logged = {it.step for it in client.get_metric_history(run_id, "train/loss")}
    _log(client, run_id, [it for it in record["history"] if it["epoch"] not in logged])
    client.log_artifact(run_id, str(folder / CARD))
    version = present[0].version if present else _register(client, run_id, name, folder)
    client.set_terminated(run_id)
    return name, int(version)


def _register(client: MlflowClient, run_id: str, name: str, folder: Path) -> str:
    """Log the folder as a model of the run, and register it; return the version."""
    uri = find_model(client, run_id)
    if uri is None:
        experiment = client.get_run(run_id).info.experiment_id
        entry = client.create_logged_model(experiment, name, source_run_id=run_id)
        client.log_model_artifacts(entry.model_id, str(folder))
        client.log_outputs(run_id, [LoggedModelOutput(entry.model_id, step=0)])
        client.finalize_logged_model(entry.model_id, "READY")
        uri = f"models:/{entry.model_id}"
    try:
        client.create_registered_model(
            name, description="Weights to start a training from: not a model that predicts labels."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    card = (folder / CARD).read_text(encoding="utf-8")
    model_id = uri.removeprefix("models:/")
    return str(client.create_model_version(name, uri, run_id, description=card, model_id=model_id).version)


def _log(client: MlflowClient, run_id: str, history: list[dict[str, float]]) -> None:
    now = int(time.time() * 1000)
    points = [
        Metric(key, value, now, int(it["epoch"])) for it in history for key, value in it.items() if key != "epoch"
    ]
    client.log_batch(run_id, metrics=points)
