"""Where a version comes from: committed code, the pipeline's lock, known data. What is not known is refused."""

import hashlib
from dataclasses import dataclass

from mlflow import MlflowClient

from unroll.evaluation.runs import Run
from unroll.files import read_json, sha256
from unroll.registry.candidate import Candidate
from unroll.tracking import git
from unroll.tracking.dvc import read_pipeline
from unroll.tracking.provenance import MIXED
from unroll.tracking.runs import get_run

SHOWN = 10  # files that a message names


@dataclass(frozen=True)
class Lineage:
    """Of one candidate.

    Args:
        commit: that gives the model, its configuration included.
        lock: the content of dvc.lock; None for a model that no stage of DVC makes.
        path, revision: of the dataset; a folder has no revision.
        raw_checksum: of the downloaded data's manifest, which has the checksum of each file.
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
    """Make sure that the commit checked out, or that of a training by hand, gives all of the candidate's models.

    A stage of DVC vouches for its model by being up to date, whenever it ran. A model that no stage makes is vouched
    for by its own run: that was of committed code.

    Raises:
        ValueError: there is no commit, files differ from it, a stage is not up to date, a training by hand was not of
            committed code, the code changed during one, or the data are not those of the training any more.
    """
    _check_tree()
    source = _check_source(candidate)
    models = {candidate.run_folder(run) / "model": run for run in candidate.runs}
    pipeline = read_pipeline(list(models))
    for stage, files in pipeline.stale.items():
        raise ValueError(f"{stage} is not up to date ({_some(files)}): `dvc repro` first")
    commits = {}
    for model, run in models.items():
        tags = get_run(client, run.run_id).data.tags
        _check_data(candidate, run, tags)
        _check_code(run, tags)
        commits[model] = git.head() if model in pipeline.makers else _commit_of_training(run, tags)
    best = candidate.run_folder(candidate.best) / "model"
    return Lineage(
        commit=commits[best],
        lock=pipeline.lock if best in pipeline.makers else None,
        path=source["path"],
        revision=source["commit"],
        raw_checksum=sha256(candidate.raw / "manifest.json"),
        checksum=candidate.data.checksum,
    )


def _check_tree() -> None:
    if files := git.changed_files():
        raise ValueError(
            f"not committed: {_some(files)}. Only a model of committed code is registered: `git commit`, then the same "
            "command again; nothing else will run again"
        )


def _check_source(candidate: Candidate) -> dict[str, str]:
    """The source of the prepared data, which has to be that of the downloaded ones."""
    source: dict[str, str] = candidate.data.description["source"]
    manifest = read_json(candidate.raw / "manifest.json")
    if any(manifest[key] != value for key, value in source.items()):
        raise ValueError(
            f"{candidate.raw} was downloaded again since {candidate.data.folder} was prepared from it: prepare, train "
            "and evaluate again"
        )
    return source


def _check_data(candidate: Candidate, run: Run, tags: dict[str, str]) -> None:
    if tags.get("dataset.checksum") != candidate.data.checksum:
        raise ValueError(
            f"{candidate.run_folder(run)} was trained on other data than {candidate.data.folder} holds now: train and "
            "evaluate again"
        )


def _check_code(run: Run, tags: dict[str, str]) -> None:
    if MIXED in tags:
        raise ValueError(
            f"the code changed while {run.model} with seed {run.seed} was trained ({tags[MIXED]}; run {run.run_id}): "
            "no commit gives that model, train it again"
        )


def _commit_of_training(run: Run, tags: dict[str, str]) -> str:
    commit = tags.get(git.COMMIT)
    if commit is None or tags.get("git.changed") != "false":
        raise ValueError(
            f"{run.model} with seed {run.seed} was trained by hand on code that was not committed (run {run.run_id}): "
            "commit, and train again"
        )
    return commit


def _some(files: list[str]) -> str:
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return ", ".join(files[:SHOWN]) + more
