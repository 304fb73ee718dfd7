"""What differs from when a run was trained, and whether training it again gave the same."""

import csv
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

from unroll.data.prepared import PreparedData
from unroll.files import sha256
from unroll.tracking.git import COMMIT, changed_code, differing_code, head
from unroll.tracking.models import model_uri
from unroll.tracking.provenance import FOLDER, MIXED, Origin, installed_packages
from unroll.tracking.runs import flatten, get_run

UNCOMPARED = {"output", "run_name", "reproduces"}  # where results go, and what the run is called
ABSENT = "absent"


def origin_of(client: MlflowClient, run_id: str) -> Origin:
    """What the run was trained with.

    Raises:
        ValueError: there is no such run, or it is none of a training.
    """
    run_id = get_run(client, run_id).info.run_id
    if not client.list_artifacts(run_id, FOLDER):
        raise ValueError(
            f"run {run_id} has no artifacts {FOLDER}/ that say what it was trained with; accepted: a run of "
            "python pipelines/train.py, for example the run_id in models/DATASET/MODEL/SEED/run.json"
        )
    with tempfile.TemporaryDirectory() as work:
        return Origin.load(Path(client.download_artifacts(run_id, FOLDER, work)))


def differences(then: Origin, config: dict[str, Any]) -> list[str]:
    """In words, what is not as it was then; empty where training again has to give the same.

    Args:
        config: what the same command is configured with today.
    """
    parameters = [flatten({k: v for k, v in it.items() if k not in UNCOMPARED}) for it in (then.config, _plain(config))]
    return [
        *_code(then),
        *(f"parameter {line}" for line in _changes(*parameters)),
        *_data(then, Path(config["data"])),
        *(f"package {line}" for line in _changes(then.packages, installed_packages())),
    ]


def _data(then: Origin, folder: Path) -> list[str]:
    try:
        today = PreparedData(folder).checksum
    except ValueError as error:
        return [f"data: {error}"]
    return [f"data {line}" for line in _changes({"checksum": then.tags["dataset.checksum"]}, {"checksum": today})]


def _code(then: Origin) -> list[str]:
    mixed = [f"code: changed while the run was trained ({then.tags[MIXED]})"] if MIXED in then.tags else []
    return mixed + then.code_differences()


def code_remarks(then: Origin) -> list[str]:
    """The commits then and now, and what was not committed: worth knowing, and by themselves no differences."""
    commit = then.tags.get(COMMIT)
    try:
        now = head()
        same = commit is not None and not differing_code(commit, then.changed)
    except ValueError:
        return []
    said = f"commit {commit or 'unknown'} → {now}" if commit != now else f"commit {now}, as then"
    uncommitted = {"then": then.changed, "now": changed_code()}
    return [
        said + ", with the same code and configuration" * same,
        *(f"not committed {when}: {', '.join(sorted(files))}" for when, files in uncommitted.items() if files),
    ]


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`key: then → now` for each key that does not have the same value."""
    return [
        f"{key}: {then.get(key, ABSENT)} → {now.get(key, ABSENT)}"
        for key in sorted({*then, *now})
        if (key in then) != (key in now) or then[key] != now[key]
    ]


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return plain


@dataclass(frozen=True)
class Score:
    """A metric after an epoch, in both trainings; None where one does not have it."""

    epoch: int
    name: str
    then: float | None
    now: float | None

    @property
    def is_equal(self) -> bool:
        return repr(self.then) == repr(self.now)  # nan is equal to nan here


def scores(client: MlflowClient, run_id: str, folder: Path) -> list[Score]:
    """The scores of the run, beside those of the training in `folder`, by epoch."""
    with (folder / "history.csv").open(newline="") as stream:
        rows = {int(row["epoch"]): row for row in csv.DictReader(stream)}
    names = [name for name in next(iter(rows.values())) if "/" in name]
    now = {(epoch, name): float(row[name]) for epoch, row in rows.items() for name in names}
    run_id = get_run(client, run_id).info.run_id
    then = {(point.step, name): point.value for name in names for point in client.get_metric_history(run_id, name)}
    return [Score(*key, then.get(key), now.get(key)) for key in sorted({*then, *now})]


def unequal_files(client: MlflowClient, run_id: str, folder: Path) -> list[str]:
    """The files of the run's model that are not, by their checksums, those of the model in `folder`.

    Raises:
        ValueError: the run has no model in the store.
    """
    uri = model_uri(client, run_id)
    with tempfile.TemporaryDirectory() as work:
        then = _checksums(Path(mlflow.artifacts.download_artifacts(uri, dst_path=work)) / "artifacts" / "model")
    now = _checksums(folder / "model")
    return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))


def _checksums(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in folder.rglob("*") if file.is_file()}
