import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking.candidates import candidate_of, write_run
from tests.tracking.repository import commit_everything, enter
from unroll.data.prepared import PreparedData
from unroll.files import read_json, sha256, write_json
from unroll.registry import lineage
from unroll.registry.candidate import Candidate
from unroll.registry.lineage import find_lineage
from unroll.tracking.dvc import Pipeline
from unroll.tracking.store import open_store

BY_HAND = Pipeline({}, {}, None)
LOCK = b"schema: '2.0'\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "params.yaml").write_text("seeds: [1, 2]\n")
    commit_everything(folder)
    return folder


@pytest.fixture(scope="module")
def trained(
    reviews: PreparedData, repository: Path, store_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Candidate:
    """A model with two seeds, trained and evaluated at that commit; the second seed is better."""
    folder = tmp_path_factory.mktemp("models") / "lineage"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        enter(repository, patch)
        for seed, score in ((1, 0.6), (2, 0.8)):
            write_run(folder / "gru" / str(seed), reviews, score, wrong=2)
    return replace(candidate_of(folder, reviews), planned={("gru", 1), ("gru", 2)})


@pytest.fixture
def candidate(trained: Candidate, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Candidate:
    """The same model, with the repository as the current folder."""
    enter(repository, monkeypatch)
    return trained


def says(monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline) -> None:
    """Let `read_pipeline` return the part of `pipeline` that concerns the given models."""

    def read_pipeline(models: Sequence[Path]) -> Pipeline:
        return replace(pipeline, stages={model: pipeline.stages[model] for model in models if model in pipeline.stages})

    monkeypatch.setattr(lineage, "read_pipeline", read_pipeline)


def made_by_dvc(candidate: Candidate, **stale: list[str]) -> Pipeline:
    stages = {candidate.run_folder(run).model: "train@lineage" for run in candidate.runs}
    return Pipeline(stages, stale, LOCK)


def commit_of(candidate: Candidate) -> str:
    commit: str = open_store().get_run(candidate.best.run_id).data.tags["mlflow.source.git.commit"]
    return commit


def refused(candidate: Candidate) -> str:
    with pytest.raises(ValueError) as error:
        find_lineage(open_store(), candidate)
    return str(error.value)


def test_a_model_that_a_stage_makes_comes_from_the_commit_checked_out(
    candidate: Candidate, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, made_by_dvc(candidate))
    commit = commit_everything(repository)
    assert commit != commit_of(candidate)
    assert find_lineage(open_store(), candidate).tags == {
        "git.commit": commit,
        "dvc.lock": hashlib.sha256(LOCK).hexdigest(),
        "dataset.path": candidate.data.description["source"]["path"],
        "dataset.revision": "folder",
        "dataset.raw_checksum": sha256(candidate.raw / "manifest.json"),
        "dataset.checksum": candidate.data.checksum,
    }


def test_the_weights_that_its_training_began_with_are_part_of_it(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, made_by_dvc(candidate))
    weights = {"pretrained": "imdb", "pretrained.checksum": "f" * 64}
    for key, value in weights.items():
        open_store().set_tag(candidate.best.run_id, key, value)
    found = find_lineage(open_store(), candidate).tags
    for key in weights:
        open_store().delete_tag(candidate.best.run_id, key)
    assert weights.items() <= found.items()


@pytest.fixture
def uncommitted(candidate: Candidate) -> Iterator[Candidate]:
    """The same model, as if a file had not been committed when it was trained; it records what it has read."""
    folder = candidate.run_folder(candidate.best)
    write_json(folder.path / "trained.json", {"inputs": {"code": "a", "config": "b"}, "sha256": {}})
    open_store().set_tag(candidate.best.run_id, "git.changed", "true")
    yield candidate
    (folder.path / "trained.json").unlink()
    open_store().set_tag(candidate.best.run_id, "git.changed", "false")


def test_a_training_that_was_not_committed_then_may_be_committed_now(
    uncommitted: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual way: edit, `dvc repro`, commit. The stage is up to date, and so is its model."""
    says(monkeypatch, made_by_dvc(uncommitted))
    assert find_lineage(open_store(), uncommitted).lock == LOCK
    says(monkeypatch, BY_HAND)
    assert "gru with seed 2 was trained by hand with code that was not committed" in refused(uncommitted)


def test_a_training_by_hand_may_be_committed_afterwards_if_it_has_read_what_is_committed_now(
    uncommitted: Candidate, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, BY_HAND)
    (repository / "src").mkdir()
    (repository / "src/mine.py").touch()
    same = replace(uncommitted, inputs=lambda folder: {"code": "a", "config": "b"})
    said = refused(same)
    assert said.startswith("not committed: src/mine.py. ") and "run `git commit`, then the same command" in said
    commit = commit_everything(repository)
    assert find_lineage(open_store(), same).tags["git.commit"] == commit


def test_choices_that_are_not_committed_stop_a_stage_s_model_and_one_by_hand_that_has_composed_them(
    candidate: Candidate, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "conf/model").mkdir(parents=True)
    (repository / "conf/model/other.yaml").touch()
    try:
        by_hand = replace(candidate, files=lambda folder: {"conf/model/gru.yaml"})
        says(monkeypatch, BY_HAND)
        assert find_lineage(open_store(), by_hand).tags["git.commit"] == commit_of(candidate)
        with_it = replace(candidate, files=lambda folder: {"conf/model/other.yaml"})
        assert refused(with_it).startswith("not committed: conf/model/other.yaml. ")
        says(monkeypatch, made_by_dvc(candidate))
        assert refused(by_hand).startswith("not committed: conf/model/other.yaml. ")
    finally:
        shutil.rmtree(repository / "conf")


@pytest.mark.parametrize(("now", "changed"), [({"code": "a", "config": "x"}, "config"), ({}, "code and config")])
def test_a_training_by_hand_that_has_read_something_else_is_refused_before_a_commit_is_asked_for(
    uncommitted: Candidate, repository: Path, monkeypatch: pytest.MonkeyPatch, now: dict[str, str], changed: str
) -> None:
    says(monkeypatch, BY_HAND)
    (repository / "params.yaml").write_text("seeds: [3]\n")
    try:
        said = refused(replace(uncommitted, inputs=lambda folder: now))
    finally:
        (repository / "params.yaml").write_text("seeds: [1, 2]\n")
    assert f"and since then its {changed} have changed: " in said
    assert f"python pipelines/reproduce.py run={uncommitted.best.run_id}" in said


def test_files_of_other_datasets_need_no_commit(
    candidate: Candidate, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, BY_HAND)
    own, other = repository / "conf/dataset/lineage.yaml", repository / "conf/dataset/other.yaml"
    own.parent.mkdir(parents=True)
    try:
        other.touch()
        find_lineage(open_store(), candidate)
        own.touch()
        assert refused(candidate).startswith("not committed: conf/dataset/lineage.yaml. ")
    finally:
        shutil.rmtree(repository / "conf")


def test_a_training_during_which_the_code_changed_is_refused_whoever_made_it(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store().set_tag(candidate.best.run_id, "git.mixed", "code src/net.py")
    try:
        for pipeline in (made_by_dvc(candidate), BY_HAND):
            says(monkeypatch, pipeline)
            assert "the code changed while gru with seed 2 was trained (code src/net.py; " in refused(candidate)
    finally:
        open_store().delete_tag(candidate.best.run_id, "git.mixed")


def test_a_model_trained_by_hand_comes_from_the_commit_of_its_training(
    candidate: Candidate, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, BY_HAND)
    assert commit_everything(repository) != commit_of(candidate)
    tags = find_lineage(open_store(), candidate).tags
    assert (tags["git.commit"], tags["dvc.lock"]) == (commit_of(candidate), "none: trained by hand")


def test_a_model_that_the_plan_does_not_list_is_by_hand_though_it_is_in_an_output_of_a_stage(
    candidate: Candidate, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output of the stage is the folder of all models of a dataset, including those trained by hand."""
    says(monkeypatch, made_by_dvc(candidate))
    commit = commit_everything(repository)
    for planned in ((), {("gru", 1)}, {("lstm", 2)}):
        tags = find_lineage(open_store(), replace(candidate, planned=planned)).tags
        assert (tags["git.commit"], tags["dvc.lock"]) == (commit_of(candidate), "none: trained by hand")
    tags = find_lineage(open_store(), replace(candidate, planned={("gru", 2)})).tags
    assert (tags["git.commit"], tags["dvc.lock"]) == (commit, hashlib.sha256(LOCK).hexdigest())


def test_a_file_that_is_not_committed_is_named(candidate: Candidate, repository: Path) -> None:
    (repository / "params.yaml").write_text("seeds: [1, 2, 3]\n")
    try:
        assert refused(candidate).startswith("not committed: params.yaml. ")
    finally:
        (repository / "params.yaml").write_text("seeds: [1, 2]\n")


def test_of_many_files_that_are_not_committed_the_first_are_named(candidate: Candidate, repository: Path) -> None:
    files = [repository / "conf" / f"{i:02}.yaml" for i in range(12)]
    (repository / "conf").mkdir()
    for file in files:
        file.touch()
    try:
        assert "conf/00.yaml, conf/01.yaml" in refused(candidate)
        assert "conf/09.yaml and 2 more" in refused(candidate)
    finally:
        for file in files:
            file.unlink()


def test_without_a_repository_nothing_is_registered(
    trained: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "git init" in refused(trained)


def test_a_stage_that_would_run_again_is_named(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, made_by_dvc(candidate, prepare=["conf/prepare.yaml"]))
    assert refused(candidate) == "prepare is not up to date (conf/prepare.yaml); first: dvc repro"


def test_other_data_than_those_of_the_training_are_refused(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, BY_HAND)
    monkeypatch.setattr(candidate.data, "checksum", "0" * 64)
    assert "was trained on other data than" in refused(candidate)


def test_data_that_were_downloaded_again_are_refused(candidate: Candidate, tmp_path: Path) -> None:
    manifest = read_json(candidate.raw / "manifest.json")
    write_json(tmp_path / "manifest.json", {**manifest, "commit": "a" * 40})
    assert "was downloaded again after" in refused(replace(candidate, raw=tmp_path))
