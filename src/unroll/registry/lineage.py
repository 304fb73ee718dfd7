"""The origin of a version: committed code, the state of the pipeline, and the data."""

import hashlib
from dataclasses import dataclass

from mlflow import MlflowClient

from unroll.evaluation.runs import Run
from unroll.files import read_json, sha256
from unroll.registry.candidate import Candidate
from unroll.tracking import git
from unroll.tracking.dvc import read_pipeline
from unroll.tracking.provenance import MIXED_CODE
from unroll.tracking.runs import get_run

SHOWN = 10  # files that a message lists


@dataclass(frozen=True)
class Lineage:
    """The origin of a candidate.

    Args:
        commit: the commit that produces the model, including its configuration.
        lock: content of ``dvc.lock``; None for a model that was trained by hand.
        path, revision: of the dataset; a folder has no revision.
        raw_checksum: of the manifest of the downloaded data, which contains a checksum of each file.
        checksum: of the prepared data.
    """

    commit: str
    lock: bytes | None
    path: str
    revision: str | None
    raw_checksum: str
    checksum: str

    def tags(self) -> dict[str, str]:
        return {
            "git.commit": self.commit,
            "dvc.lock": hashlib.sha256(self.lock).hexdigest() if self.lock else "none: trained by hand",
            "dataset.path": self.path,
            "dataset.revision": self.revision or "folder",
            "dataset.raw_checksum": self.raw_checksum,
            "dataset.checksum": self.checksum,
        }


def find_lineage(client: MlflowClient, candidate: Candidate) -> Lineage:
    """Find the commit and the data that produce the models of the candidate.

    A model that `params.yaml` lists and a stage of DVC produces comes from the commit that is checked out, provided
    that the stage is up to date. Any other model was trained by hand, and comes from the commit of its training.

    Raises:
        ValueError: there is no commit, files differ from it, a stage is not up to date, a training by hand used code
            that was not committed, the code changed during a training, or the data have changed since.
    """
    _check_tree()
    source = _check_source(candidate)
    models = {candidate.run_folder(run).model: run for run in candidate.runs}
    pipeline = read_pipeline([model for model, run in models.items() if candidate.is_planned(run)])
    for stage, files in pipeline.stale.items():
        raise ValueError(f"{stage} is not up to date ({_first(files)}); first: dvc repro")
    commits = {}
    for model, run in models.items():
        tags = get_run(client, run.run_id).data.tags
        _check_data(candidate, run, tags)
        _check_code(run, tags)
        commits[model] = git.head() if model in pipeline.stages else _commit_of_training(run, tags)
    best = candidate.run_folder(candidate.best).model
    return Lineage(
        commit=commits[best],
        lock=pipeline.lock if best in pipeline.stages else None,
        path=source["path"],
        revision=source["commit"],
        raw_checksum=sha256(candidate.raw / "manifest.json"),
        checksum=candidate.data.checksum,
    )


def _check_tree() -> None:
    if files := git.changed_files():
        raise ValueError(
            f"not committed: {_first(files)}. A model is registered with committed code only: run `git commit`, then "
            "the same command; no other stage will run again"
        )


def _check_source(candidate: Candidate) -> dict[str, str]:
    """The source of the prepared data, which must be that of the downloaded data."""
    source: dict[str, str] = candidate.data.description["source"]
    manifest = read_json(candidate.raw / "manifest.json")
    if any(manifest[key] != value for key, value in source.items()):
        raise ValueError(
            f"{candidate.raw} was downloaded again after {candidate.data.folder} was prepared from it: prepare, train "
            "and evaluate again"
        )
    return source


def _check_data(candidate: Candidate, run: Run, tags: dict[str, str]) -> None:
    if tags.get("dataset.checksum") != candidate.data.checksum:
        raise ValueError(
            f"{candidate.run_folder(run).path} was trained on other data than the present {candidate.data.folder}: "
            "train and evaluate again"
        )


def _check_code(run: Run, tags: dict[str, str]) -> None:
    if MIXED_CODE in tags:
        raise ValueError(
            f"the code changed while {run.model} with seed {run.seed} was trained ({tags[MIXED_CODE]}; run "
            f"{run.run_id}), so that no commit produces the model: train it again"
        )


def _commit_of_training(run: Run, tags: dict[str, str]) -> str:
    commit = tags.get(git.COMMIT)
    if commit is None or tags.get("git.changed") != "false":
        raise ValueError(
            f"{run.model} with seed {run.seed} was trained by hand with code that was not committed (run {run.run_id}):"
            " commit, and train again"
        )
    return commit


def _first(files: list[str]) -> str:
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return ", ".join(files[:SHOWN]) + more
