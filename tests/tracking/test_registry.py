from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from tests.tiny import save_random_model
from tests.tracking.trained import make_origin
from unroll.data.prepared import PreparedData
from unroll.serving.predictor import Predictor
from unroll.tracking.models import log_model
from unroll.tracking.registry import CHAMPION, Candidate, register
from unroll.tracking.runs import training_run
from unroll.tracking.store import open_store

TEXTS = ["Not very good today.", "Ada Brown met us in Paris!"]


@pytest.fixture(scope="module")
def trained(reviews: PreparedData, store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """A model, logged to a run."""
    folder = save_random_model(reviews, tmp_path_factory.mktemp("trained") / "model")
    record = tmp_path_factory.mktemp("record") / "run.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        with training_run(make_origin(reviews, "registry"), record) as run:
            uri = log_model(run, folder)
    return Candidate("registry", "gru", 1, run.run_id, uri, 0.8, "val/accuracy", "first data", folder)


@pytest.fixture
def candidate(trained: Candidate, request: pytest.FixtureRequest) -> Candidate:
    """The model as a candidate for a registered model of the test's own."""
    return replace(trained, dataset=request.node.name)


def another(candidate: Candidate, score: float, **changes: str) -> Candidate:
    """A candidate from a run of its own, with the same weights."""
    client = open_store()
    run = client.create_run(client.get_run(candidate.run_id).info.experiment_id)
    return replace(candidate, model="lstm", run_id=run.info.run_id, score=score, **changes)


def champion(name: str) -> int | None:
    """The champion's version, or None."""
    try:
        return int(open_store().get_model_version_by_alias(name, CHAMPION).version)
    except MlflowException:
        return None


def versions(name: str) -> int:
    return len(open_store().search_model_versions(f"name = '{name}'"))


def test_the_first_candidate_is_champion(candidate: Candidate) -> None:
    decision = register(candidate, TEXTS)
    assert decision == {
        "registered_model": candidate.dataset,
        "version": 1,
        "champion": True,
        "reason": "gru with mean val/accuracy 0.8000 is the first champion",
        "dataset": candidate.dataset,
        "model": "gru",
        "seed": 1,
        "run_id": candidate.run_id,
        "model_uri": candidate.model_uri,
        "score": 0.8,
        "monitor": "val/accuracy",
        "checksum": "first data",
    }
    assert champion(candidate.dataset) == 1


def test_a_version_tells_where_it_comes_from(candidate: Candidate) -> None:
    decision = register(replace(candidate, score=0.1 + 0.2), TEXTS)
    version = open_store().get_model_version(candidate.dataset, "1")
    assert version.run_id == candidate.run_id
    assert version.tags == {
        "model": "gru",
        "seed": "1",
        "monitor": "val/accuracy",
        "validation_mean": "0.30000000000000004",  # to the last bit: champions are compared by it
        "dataset.checksum": "first data",
        "decision": decision["reason"],
    }
    assert "0.3000" in version.description


def test_the_champion_is_served_by_its_alias(candidate: Candidate) -> None:
    register(candidate, TEXTS)
    loaded = mlflow.pyfunc.load_model(f"models:/{candidate.dataset}@champion")
    answers = loaded.predict(pd.DataFrame({"text": TEXTS})).to_dict("records")
    assert answers == Predictor.load(candidate.folder).predict(TEXTS)


def test_a_model_of_label_sets_is_registered_and_served(topics: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(topics, tmp_path / "model")
    with training_run(make_origin(topics, "topics"), tmp_path / "run.json") as run:
        uri = log_model(run, folder)
    register(Candidate("topics", "gru", 1, run.run_id, uri, 0.8, "val/f1", topics.checksum, folder), TEXTS)
    loaded = mlflow.pyfunc.load_model("models:/topics@champion")
    answers = loaded.predict(pd.DataFrame({"text": TEXTS})).to_dict("records")
    assert answers == Predictor.load(folder).predict(TEXTS)
    assert [list(row["probabilities"]) for row in answers] == [topics.label_names] * len(TEXTS)


@pytest.mark.parametrize("score", [0.7, 0.8])
def test_a_candidate_that_is_not_better_is_a_version_but_no_champion(candidate: Candidate, score: float) -> None:
    register(candidate, TEXTS)
    decision = register(another(candidate, score), TEXTS)
    assert (decision["version"], decision["champion"]) == (2, False)
    assert decision["reason"] == (
        f"lstm with mean val/accuracy {score:.4f} does not beat the champion, version 1 with 0.8000"
    )
    assert champion(candidate.dataset) == 1
    assert open_store().get_model_version(candidate.dataset, "2").tags["decision"] == decision["reason"]


def test_a_better_candidate_becomes_champion(candidate: Candidate) -> None:
    register(candidate, TEXTS)
    decision = register(another(candidate, 0.8000001), TEXTS)
    assert (decision["version"], decision["champion"]) == (2, True)
    assert "beats version 1" in decision["reason"]
    assert champion(candidate.dataset) == 2


def test_a_candidate_scored_on_other_data_becomes_champion(candidate: Candidate) -> None:
    register(candidate, TEXTS)
    decision = register(another(candidate, 0.1, checksum="second data"), TEXTS)
    assert (decision["version"], decision["champion"]) == (2, True)
    assert "version 1, which was scored on other data" in decision["reason"]
    assert champion(candidate.dataset) == 2


def test_the_same_run_is_one_version(candidate: Candidate) -> None:
    first, second = register(candidate, TEXTS), register(candidate, TEXTS)
    assert (first["version"], second["version"], second["champion"]) == (1, 1, True)
    assert "is the champion already" in second["reason"]
    assert versions(candidate.dataset) == 1


def test_a_run_that_lost_stays_a_loser_when_it_is_registered_again(candidate: Candidate) -> None:
    register(candidate, TEXTS)
    loser = another(candidate, 0.7)
    register(loser, TEXTS)
    decision = register(loser, TEXTS)
    assert (decision["version"], decision["champion"]) == (2, False)
    assert champion(candidate.dataset) == 1
    assert versions(candidate.dataset) == 2


@pytest.mark.parametrize("is_first", [True, False])
def test_a_version_that_labels_otherwise_is_not_made_champion(
    candidate: Candidate, reviews: PreparedData, tmp_path: Path, is_first: bool
) -> None:
    if not is_first:
        register(candidate, TEXTS)
    other_weights = save_random_model(reviews, tmp_path / "model", seed=1)
    with pytest.raises(ValueError) as error:
        register(replace(another(candidate, 0.9), folder=other_weights), TEXTS)
    version = 1 if is_first else 2
    assert f"version {version} of {candidate.dataset} was loaded back and answers" in str(error.value)
    assert str(other_weights) in str(error.value)
    assert champion(candidate.dataset) == (None if is_first else 1)
