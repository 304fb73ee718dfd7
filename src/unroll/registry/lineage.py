"""The origin of a version: committed code, the state of the pipeline, and the data."""

import hashlib
from typing import NamedTuple

from mlflow import MlflowClient

from unroll.data.raw import check_raw
from unroll.evaluation.runs import Run
from unroll.files import read_json, sha256
from unroll.registry.candidate import Candidate
from unroll.tracking import git
from unroll.tracking.dvc import read_pipeline
from unroll.tracking.offline import UPLOAD
from unroll.tracking.provenance import MIXED_CODE, PRETRAINED
from unroll.tracking.runs import get_run


class Lineage(NamedTuple):
    """The origin of a candidate.

    Args:
        tags: of a version: the commit that produces the model, including its configuration; the path and the revision
            of the dataset; checksums of the manifest of the downloaded data, of the prepared data, and of ``dvc.lock``;
            the pretrained weights that its training began with, if any.
        lock: content of ``dvc.lock``; None for a model that was trained by hand.
    """

    tags: dict[str, str]
    lock: bytes | None


def find_lineage(client: MlflowClient, candidate: Candidate) -> Lineage:
    """Find the commit and the data that produce the models of the candidate.

    A model that `params.yaml` lists and a stage of DVC produces comes from the commit that is checked out, provided
    that the stage is up to date. Any other model was trained by hand. It comes from the commit of its training, or, if
    files were not committed then, from the commit that is checked out and contains what the training has read.

    Raises:
        ValueError: there is no commit, files differ from it, a stage is not up to date, a training by hand read
            something else than what is committed, the code changed during a training, or the data have changed since.
    """
    models = {candidate.run_folder(run).model: run for run in candidate.runs}
    pipeline = read_pipeline([model for model, run in models.items() if (run.model, run.seed) in candidate.planned])
    commits = {model: _commit(client, candidate, run, model in pipeline.stages) for model, run in models.items()}
    data, raw = candidate.data, candidate.raw
    # A stage depends on all choices of a group, a training by hand on those that it has composed.
    by_hand = [] if pipeline.stages else candidate.runs
    composed = {file for run in by_hand for file in candidate.files(candidate.run_folder(run))}
    if changed := git.uncommitted(candidate.best.dataset, data.description["source"]["path"], composed):
        raise ValueError(
            f"not committed: {git.first_of(changed)}. A model is registered with committed code only: run "
            "`git commit`, then the same command; no other stage will run again"
        )
    check_raw(raw, ["manifest.json"])
    source, manifest = data.description["source"], read_json(raw / "manifest.json", list(data.description["source"]))
    if any(manifest[key] != value for key, value in source.items()):
        raise ValueError(
            f"{raw} was downloaded again after {data.folder} was prepared from it: prepare, train and evaluate again"
        )
    for stage, files in pipeline.stale.items():
        raise ValueError(f"{stage} is not up to date ({git.first_of(files)}); first: dvc repro")
    best = candidate.run_folder(candidate.best).model
    lock = pipeline.lock if best in pipeline.stages else None
    tags = {
        "git.commit": commits[best],
        "dvc.lock": hashlib.sha256(lock).hexdigest() if lock else "none: trained by hand",
        "dataset.path": source["path"],
        "dataset.revision": source["commit"] or "folder",
        "dataset.raw_checksum": sha256(raw / "manifest.json"),
        "dataset.checksum": data.checksum,
    }
    of_run = get_run(client, candidate.best.run_id).data.tags
    tags |= {key: value for key, value in of_run.items() if key.partition(".")[0] == PRETRAINED}
    return Lineage(tags, lock)


def _commit(client: MlflowClient, candidate: Candidate, run: Run, is_of_stage: bool) -> str:
    """The commit that produces the model of a run; one that is checked out must be up to date and without changes."""
    tags, name = get_run(client, run.run_id).data.tags, f"{run.model} with seed {run.seed}"
    if "dataset.checksum" not in tags:
        raise ValueError(f"run {run.run_id} has no tag dataset.checksum: set it again with {UPLOAD}")
    if tags["dataset.checksum"] != candidate.data.checksum:
        raise ValueError(
            f"{candidate.run_folder(run).path} was trained on other data than the present {candidate.data.folder}: "
            "train and evaluate again"
        )
    if MIXED_CODE in tags:
        raise ValueError(
            f"the code changed while {name} was trained ({tags[MIXED_CODE]}; run {run.run_id}), so that no commit "
            "produces the model: train it again"
        )
    commit: str | None = tags.get(git.COMMIT)
    if not is_of_stage and commit is not None and tags.get("git.changed") == "false":
        return commit
    if not is_of_stage and (changed := candidate.changes(run)):
        if commit is None:
            raise ValueError(
                f"the run of {name}, trained by hand, has no tag {git.COMMIT}, and since the training its "
                f"{' and '.join(changed)} have changed: set a deleted tag again with {UPLOAD}; without one, train again"
            )
        raise ValueError(
            f"{name} was trained by hand with code that was not committed (run {run.run_id}), and since then its "
            f"{' and '.join(changed)} have changed: commit those of the training, or train it again; "
            f"python pipelines/reproduce.py run={run.run_id} lists the changes"
        )
    return git.head()
