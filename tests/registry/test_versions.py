import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from tests.tiny import save_random_model
from tests.tracking.candidates import candidate_of, named, write_run
from tests.tracking.repository import commit_everything, enter
from unroll.data.prepared import PreparedData
from unroll.inference.predictor import Predictor
from unroll.registry import lineage
from unroll.registry.candidate import Candidate
from unroll.registry.card import DESCRIPTION_LIMIT
from unroll.registry.gate import Gate
from unroll.registry.registered_model import CHAMPION, RegisteredModel
from unroll.registry.versions import Registration, equal_answers, register, register_best
from unroll.tracking.dvc import Pipeline
from unroll.tracking.store import open_store

TEXTS = ["Not very good today.", "Ada Brown met us in Paris!"]
GATE = Gate(level=0.05, margin=0.2, cheaper_by=0.1, cost="parameters")  # the test split has few examples
LOCK = b"schema: '2.0'\n"

# With 18 test examples. The names compare them with `good`.
MODELS = {
    "good": {"score": 0.8, "wrong": 2},
    "equal": {"score": 0.81, "wrong": 2},
    "cheaper": {"score": 0.79, "wrong": 2, "parameters": 900},
    "worse": {"score": 0.9, "wrong": 12, "parameters": 10},  # a better validation score is not considered
    "better": {"score": 0.7, "wrong": 0, "parameters": 2000},
    "poor": {"score": 0.5, "wrong": 14},
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit."""
    folder = tmp_path_factory.mktemp("repository")
    commit_everything(folder)
    return folder


@pytest.fixture(scope="module")
def models(
    reviews: PreparedData, repository: Path, store_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """models/DATASET with one seed of each model."""
    folder = tmp_path_factory.mktemp("models") / "registry"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        enter(repository, patch)
        for model, facts in MODELS.items():
            write_run(folder / model / "1", reviews, **facts)  # type: ignore[arg-type]
    return folder


Get = Callable[[str], Candidate]


@pytest.fixture
def candidate(
    models: Path,
    reviews: PreparedData,
    repository: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Get:
    """A function that returns a model as the candidate for a registered model named after the test."""
    enter(repository, monkeypatch)
    return lambda model: named(candidate_of(models, reviews, [model]), request.node.name)


def put(candidate: Candidate) -> Registration:
    return register(candidate, candidate.runs, GATE, TEXTS)


def aliases(name: str) -> tuple[int | None, int | None]:
    model = RegisteredModel(open_store(), name)
    return model.champion, model.challenger


def tags(name: str, version: int) -> dict[str, str]:
    found: dict[str, str] = open_store().get_model_version(name, str(version)).tags
    return found


def test_the_first_candidate_is_champion(candidate: Get, request: pytest.FixtureRequest) -> None:
    registration = put(candidate("good"))
    assert registration.facts() == {
        "registered_model": request.node.name,
        "version": 1,
        "champion": True,
        "reason": "good (mean val/accuracy 0.8000) is the first champion",
    }
    assert aliases(request.node.name) == (1, None)


def test_processes_that_are_started_after_a_registration_do_not_import_its_code(candidate: Get) -> None:
    path = list(sys.path)
    put(candidate("good"))
    assert [it for it in sys.path if it not in path and (Path(it) / "unroll").is_dir()] == []


def test_a_version_records_its_model_and_its_origin(candidate: Get, repository: Path) -> None:
    good = candidate("good")
    registration = put(replace(good, score=0.1 + 0.2))
    version = open_store().get_model_version(good.best.dataset, "1")
    assert version.run_id == good.best.run_id
    assert version.tags == {
        "model": "good",
        "seed": "1",
        "runs": good.best.run_id,
        "monitor": "val/accuracy",
        "validation_mean": "0.30000000000000004",
        **lineage.find_lineage(open_store(), good).tags,
        "gate.champion": "true",
        "decision": registration.reason,
    }
    assert version.description.startswith("A model that assigns one label to a text.")
    assert registration.reason in version.description
    assert len(version.description) <= DESCRIPTION_LIMIT


def artifact(candidate: Candidate, path: str) -> bytes:
    return Path(mlflow.artifacts.download_artifacts(f"runs:/{candidate.best.run_id}/{path}")).read_bytes()


def test_the_card_and_the_lock_are_artifacts_of_the_run(candidate: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    good = candidate("good")
    stages = {good.run_folder(good.best).model: "train@registry"}
    monkeypatch.setattr(lineage, "read_pipeline", lambda models: Pipeline(stages, {}, LOCK))
    registration = put(good)
    assert artifact(good, "registry/version-1/dvc.lock") == LOCK
    assert tags(good.best.dataset, 1)["dvc.lock"] == hashlib.sha256(LOCK).hexdigest()
    assert artifact(good, "registry/version-1/model_card.md").decode() == registration.card


def test_the_champion_is_served_by_its_alias(candidate: Get) -> None:
    good = candidate("good")
    put(good)
    loaded = mlflow.pyfunc.load_model(f"models:/{good.best.dataset}@champion")
    answers = loaded.predict(pd.DataFrame({"text": TEXTS})).to_dict("records")
    assert equal_answers(answers, Predictor.load(good.run_folder(good.best).model).predict(TEXTS))


@pytest.mark.parametrize(
    ("found", "equal"),
    [
        ([{"label": "a", "probability": 0.7000001, "probabilities": {"a": 0.7, "b": 0.3}}], True),
        ([{"label": "a", "probability": 0.7001, "probabilities": {"a": 0.7, "b": 0.3}}], False),
        ([{"label": "a", "probability": 0.7, "probabilities": {"a": 0.7, "b": 0.31}}], False),
        ([{"label": "b", "probability": 0.7, "probabilities": {"a": 0.7, "b": 0.3}}], False),
        ([{"label": "a", "probability": 0.7}], False),
        ([], False),
    ],
)
def test_answers_may_differ_by_rounding_only(found: list[dict[str, Any]], equal: bool) -> None:
    assert equal_answers(found, [{"label": "a", "probability": 0.7, "probabilities": {"a": 0.7, "b": 0.3}}]) == equal


def test_a_model_of_label_sets_is_registered_and_served(
    topics: PreparedData, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(repository, monkeypatch)
    write_run(tmp_path / "topics" / "gru" / "1", topics, score=0.8, wrong=2)
    put(candidate_of(tmp_path / "topics", topics))
    loaded = mlflow.pyfunc.load_model("models:/topics@champion")
    answers = loaded.predict(pd.DataFrame({"text": TEXTS})).to_dict("records")
    assert equal_answers(answers, Predictor.load(tmp_path / "topics/gru/1/model").predict(TEXTS))
    assert [list(row["probabilities"]) for row in answers] == [topics.label_names] * len(TEXTS)


@pytest.mark.parametrize(
    ("model", "champion"), [("better", True), ("cheaper", True), ("equal", False), ("worse", False)]
)
def test_the_gate_decides_and_its_figures_stay_on_the_version(candidate: Get, model: str, champion: bool) -> None:
    """`better` is compared with `poor`, the others with `good`."""
    name = candidate("good").best.dataset
    put(candidate("poor" if model == "better" else "good"))
    registration = put(candidate(model))
    assert (registration.version, registration.champion) == (2, champion)
    assert aliases(name) == ((2, None) if champion else (1, 2))
    found = tags(name, 2)
    assert (found["gate.champion"], found["decision"]) == (str(champion).lower(), registration.reason)
    right = 1 - MODELS[model]["wrong"] / 18
    assert json.loads(found["gate.score"]) == pytest.approx(right)
    assert json.loads(found["gate.parameters"]) == MODELS[model].get("parameters", 1000)
    assert {"gate.champion_score", "gate.difference", "gate.low", "gate.high", "gate.p_value", "gate.level"} <= set(
        found
    )
    assert "version 1 (" in registration.reason


def test_the_champion_is_judged_by_what_the_store_has(candidate: Get, models: Path, tmp_path: Path) -> None:
    """The folder of the champion is gone."""
    put(candidate("poor"))
    (models / "poor").rename(tmp_path / "poor")
    try:
        assert put(candidate("better")).champion
    finally:
        (tmp_path / "poor").rename(models / "poor")


def test_a_candidate_on_other_data_replaces_the_champion(candidate: Get) -> None:
    name = candidate("good").best.dataset
    put(candidate("good"))
    open_store().set_model_version_tag(name, "1", "dataset.checksum", "0" * 64)
    registration = put(candidate("worse"))
    assert registration.champion
    assert registration.reason.endswith("replaces version 1 (good), which was scored on other data")


def test_a_candidate_that_was_chosen_by_another_metric_replaces_the_champion(candidate: Get) -> None:
    name = candidate("good").best.dataset
    put(candidate("good"))
    open_store().set_model_version_tag(name, "1", "monitor", "val/loss")
    registration = put(candidate("worse"))
    assert registration.champion
    assert registration.reason.endswith("replaces version 1 (good), which was chosen by another metric")


def test_the_newest_that_did_not_win_is_the_challenger(candidate: Get) -> None:
    for model in ("good", "equal", "worse"):
        put(candidate(model))
    assert aliases(candidate("good").best.dataset) == (1, 3)


@pytest.mark.parametrize("model", ["good", "equal"])
def test_registering_the_same_runs_again_changes_nothing(candidate: Get, repository: Path, model: str) -> None:
    """Uncommitted files are accepted, because no version is created."""
    name = candidate("good").best.dataset
    put(candidate("good"))
    first = put(candidate(model))
    client = open_store()
    before = [
        (version.version, version.tags, version.aliases) for version in client.search_model_versions(f"name='{name}'")
    ]
    (repository / "conf").mkdir(exist_ok=True)
    (repository / "conf" / "new.yaml").touch()
    try:
        assert put(candidate(model)) == first
    finally:
        (repository / "conf" / "new.yaml").unlink()
    after = [
        (version.version, version.tags, version.aliases) for version in client.search_model_versions(f"name='{name}'")
    ]
    assert after == before


def test_what_was_decided_stays_after_a_roll_back(candidate: Get) -> None:
    name = candidate("good").best.dataset
    put(candidate("good"))
    put(candidate("cheaper"))
    open_store().set_registered_model_alias(name, CHAMPION, "1")
    assert put(candidate("cheaper")).champion  # it was when it was registered
    assert aliases(name) == (1, None)


def test_a_tree_that_is_not_committed_makes_no_version(candidate: Get, repository: Path) -> None:
    (repository / "src").mkdir(exist_ok=True)
    (repository / "src" / "new.py").touch()
    try:
        with pytest.raises(ValueError, match=r"not committed: src/new\.py"):
            put(candidate("good"))
    finally:
        (repository / "src" / "new.py").unlink()
    assert open_store().search_registered_models(f"name = '{candidate('good').best.dataset}'") == []


@pytest.mark.parametrize("is_first", [True, False])
def test_a_version_that_labels_otherwise_is_not_made_champion(
    candidate: Get, reviews: PreparedData, tmp_path: Path, is_first: bool
) -> None:
    name = candidate("good").best.dataset
    if not is_first:
        put(candidate("poor"))
    other_weights = save_random_model(reviews, tmp_path / "1" / "model", seed=1)
    with pytest.raises(ValueError) as error:
        put(replace(candidate("better"), folder=tmp_path))
    assert f"version {1 if is_first else 2} of {name}, loaded from the registry, predicts" in str(error.value)
    assert str(other_weights) in str(error.value)
    assert aliases(name) == ((None, None) if is_first else (1, None))

    registration = put(candidate("better"))  # the version that was created is used
    assert (registration.version, registration.champion) == (1 if is_first else 2, True)


def test_a_damaged_model_folder_is_named_before_anything_is_registered(
    candidate: Get, reviews: PreparedData, tmp_path: Path
) -> None:
    folder = save_random_model(reviews, tmp_path / "1" / "model")
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"config\.json changed after .* recreate it with `python pipelines/train\.py"):
        put(replace(candidate("better"), folder=tmp_path))
    assert aliases(candidate("better").best.dataset) == (None, None)


def test_another_set_of_seeds_is_another_version(candidate: Get) -> None:
    good = candidate("good")
    put(good)
    more = replace(good, runs=[good.best, candidate("equal").best])
    registration = put(more)
    assert (registration.version, registration.champion) == (2, False)
    assert tags(good.best.dataset, 2)["runs"].split() == more.run_ids


def test_a_champion_whose_predictions_are_gone_is_named(candidate: Get) -> None:
    name = candidate("good").best.dataset
    put(candidate("good"))
    run_id = open_store().create_run("0").info.run_id
    open_store().set_model_version_tag(name, "1", "runs", run_id)
    with pytest.raises(ValueError, match=f"run {run_id} has no predictions"):
        put(candidate("equal"))


def test_the_best_model_is_registered_and_its_card_written(candidate: Get, tmp_path: Path) -> None:
    runs = [run for model in ("good", "poor") for run in candidate(model).runs]
    good = candidate("good")
    name = good.best.dataset
    rest = (Candidate.of(runs, good.folder.parent, good.raw, good.data), runs, GATE, TEXTS, tmp_path)
    with pytest.raises(ValueError, match=f"are of {name}; accepted with dataset=others: runs of that"):
        register_best("others", *rest)
    assert list(tmp_path.iterdir()) == []
    registration = register_best(name, *rest)
    assert registration.reason == "good (mean val/accuracy 0.8000) is the first champion"
    assert json.loads((tmp_path / "champion.json").read_text()) == registration.facts()
    assert (tmp_path / "model_card.md").read_text() == registration.card
