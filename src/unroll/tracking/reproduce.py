"""Reproduces a training: lists what has changed since, trains again, and compares the scores and the model."""

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from mlflow import MlflowClient

from unroll.data.prepared import PreparedData
from unroll.files import CHECKSUMS, checksums, damaged_files, read_mapping
from unroll.inference.model_folder import ONNX_MODEL
from unroll.project import project_root
from unroll.run_folder import RunFolder
from unroll.tracking.git import COMMIT, changed_code, differing_code, head
from unroll.tracking.models import fetch_model, model_uri
from unroll.tracking.offline import UPLOAD, requiring
from unroll.tracking.provenance import (
    MIXED_CODE,
    PRETRAINED,
    PROVENANCE,
    Provenance,
    installed_packages,
    pretrained_tags,
)
from unroll.tracking.runs import flatten, get_run
from unroll.tracking.store import open_store
from unroll.tracking.upload import DEVICE

REPLACED = ("output", "run_name", "reproduces")  # where results are written, and the name of the run
ABSENT = "absent"


def reproduce(
    run_id: str,
    output: str,
    despite_differences: bool,
    compose: Callable[[list[str]], dict[str, Any]],
    override: Callable[[str, str], str],
) -> None:
    """Train a run again into the folder `output` if nothing has changed since, and compare the two; print the findings.

    Args:
        despite_differences: train even if something has changed.
        compose: gives the configuration of the train stage for a list of overrides.
        override: quotes a key and a value as an override.

    Raises:
        ValueError: there is no such training, something has changed, the training failed, or its results differ.
    """
    with requiring(), tempfile.TemporaryDirectory() as work:
        client = open_store()
        original = read_provenance(client, run_id)
        fetch_model(client, model_uri(client, run_id), Path(work))  # without it, or damaged: an error now
    replaced = {"output": output, "run_name": f"{original.name}-again", "reproduces": run_id}
    overrides = [it for it in original.overrides if it.partition("=")[0] not in REPLACED]
    overrides += [override(key, text) for key, text in replaced.items()]
    found = differences(original, compose(overrides))
    print(f"run {run_id}: python pipelines/train.py {shlex.join(original.overrides)}")
    print(*code_remarks(original), *(f"differs: {line}" for line in found), sep="\n")
    if found and not despite_differences:
        raise ValueError(
            f"{len(found)} differences, listed above, so that the results may differ; "
            "to train anyway: despite_differences=true"
        )
    print("training again" if found else "nothing differs: training again", flush=True)
    script = project_root() / "pipelines" / "train.py"
    done = subprocess.run([sys.executable, str(script), *overrides, override("hydra.run.dir", output)])
    if done.returncode:
        raise ValueError(f"the training ended with status {done.returncode}, for the reason above")
    with requiring():
        compare(client, run_id, Path(output))


def read_provenance(client: MlflowClient, run_id: str) -> Provenance:
    """The provenance of a training, from the artifacts of its run; raises ValueError if the run is not a training."""
    run_id = get_run(client, run_id).info.run_id
    if not client.list_artifacts(run_id, PROVENANCE):
        raise ValueError(
            f"run {run_id} has no artifacts {PROVENANCE}/ with the provenance of a training; accepted: a run of "
            "python pipelines/train.py, for example the run_id in models/DATASET/MODEL/SEED/run.json. If they were "
            f"deleted, {UPLOAD} uploads them again"
        )
    with tempfile.TemporaryDirectory() as work:
        folder = Path(client.download_artifacts(run_id, PROVENANCE, work))
        if damaged := damaged_files(folder):
            raise ValueError(
                f"{PROVENANCE}/ of run {run_id} is damaged in MLflow ({', '.join(damaged)}): delete it there, and "
                f"upload it again with {UPLOAD}"
            )
        return Provenance.load(folder)


def differences(original: Provenance, config: dict[str, Any]) -> list[str]:
    """Describe what has changed since a training; empty if training again must give the same results.

    Args:
        config: the configuration that the same command has now.
    """
    then, now = (
        flatten({key: value for key, value in it.items() if key not in REPLACED})
        for it in (original.config, json.loads(json.dumps(config)))
    )
    mixed = original.tags.get(MIXED_CODE)
    try:
        present = PreparedData(Path(config["data"]))
        data = _changes("data", {"checksum": original.tags["dataset.checksum"]}, {"checksum": present.checksum})
        weights = {key: it for key, it in original.tags.items() if key.partition(".")[0] == PRETRAINED}
        data += _changes("weights", weights, pretrained_tags(config, present))
    except ValueError as error:
        data = [f"data: {error}"]
    return [
        *([f"code: changed while the run was trained ({mixed})"] if mixed is not None else []),
        *original.code_differences(),
        *_changes("parameter", then, now),
        *data,
        *_changes("package", original.packages, installed_packages()),
    ]


def _changes(kind: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`kind key: then → now` for each key whose value has changed."""
    return [
        f"{kind} {key}: {then.get(key, ABSENT)} → {now.get(key, ABSENT)}"
        for key in sorted({*then, *now})
        if (key in then) != (key in now) or then[key] != now[key]
    ]


def code_remarks(original: Provenance) -> list[str]:
    """Describe the commits and the uncommitted files, then and now, which by themselves are not differences."""
    commit = original.tags.get(COMMIT)
    try:
        now = head()
        is_same = commit is not None and not differing_code(commit, original.changed)
    except ValueError:
        return []
    commits = f"commit {commit or 'unknown'} → {now}" if commit != now else f"commit {now}, unchanged"
    uncommitted = {"then": original.changed, "now": changed_code()}
    return [
        commits + ", with the same code and configuration" * is_same,
        *(f"not committed {when}: {', '.join(sorted(files))}" for when, files in uncommitted.items() if files),
    ]


class Score(NamedTuple):
    """A metric after an epoch in both trainings; None if it is missing from one."""

    epoch: int
    name: str
    then: float | None
    now: float | None

    @property
    def is_equal(self) -> bool:
        return repr(self.then) == repr(self.now)  # also for nan


def compare(client: MlflowClient, run_id: str, path: Path) -> None:
    """Print the scores of a run and of the training in the run folder `path`; raise ValueError if anything differs."""
    compared = scores(client, run_id, path)
    print(f"{'epoch':>5}  {'score':<14}  {'then':<20}  now")
    for score in compared:
        mark = "" if score.is_equal else "  ≠"
        print(f"{score.epoch:>5}  {score.name:<14}  {score.then!r:<20}  {score.now!r}{mark}")
    unequal = sum(not score.is_equal for score in compared)
    files = unequal_files(client, run_id, path)
    if unequal or files:
        different = [f"{unequal} of {len(compared)} scores"] * bool(unequal) + files
        devices = get_run(client, run_id).data.tags.get(DEVICE), read_mapping(RunFolder(path).record).get("device")
        why = "" if devices[0] == devices[1] else f", trained on {devices[0]} then and on {devices[1]} now"
        raise ValueError(f"run {run_id} is not reproduced: {', '.join(different)} not equal{why}; see {path}")
    print(f"run {run_id} is reproduced: {len(compared)} scores equal to the last digit, and every byte of the model")


def scores(client: MlflowClient, run_id: str, path: Path) -> list[Score]:
    """The scores of a run and of the training in the run folder `path`, by epoch and name."""
    history = RunFolder(path).read("history.csv", _read_history).filter(like="/")
    now: Any = history.astype(float).stack(future_stack=True).to_dict()  # (epoch, name) to value
    run_id = get_run(client, run_id).info.run_id
    then = {(it.step, name): it.value for name in map(str, history) for it in client.get_metric_history(run_id, name)}
    keys = sorted({*then, *now})
    return [Score(epoch, name, then.get((epoch, name)), now.get((epoch, name))) for epoch, name in keys]


def _read_history(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, index_col="epoch", float_precision="round_trip")


def unequal_files(client: MlflowClient, run_id: str, path: Path) -> list[str]:
    """The files of the model of a run that differ from those in the run folder `path`, by their checksums."""
    with tempfile.TemporaryDirectory() as work:
        fetch_model(client, model_uri(client, run_id), Path(work))
        then = checksums(Path(work, "artifacts", "model"))
    now = checksums(RunFolder(path).model)
    own = {*then, *now} - {CHECKSUMS, ONNX_MODEL}  # the export is added when the model is registered
    return sorted(name for name in own if then.get(name) != now.get(name))
