"""What is said after something was deleted, renamed or edited in MLflow, and that what is said helps."""

import re
import shlex
import shutil
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.cli import cli
from mlflow.entities import ViewType
from mlflow.pyfunc import scoring_server
from mlflow.tracking._tracking_service import utils
from starlette.testclient import TestClient

import unroll
from tests.tracking.candidates import candidate_of, write_run
from tests.tracking.repository import commit_everything, enter
from tests.tracking.trained import make_provenance
from unroll.data.prepared import PreparedData
from unroll.evaluation.report import FILES
from unroll.evaluation.runs import read_runs
from unroll.exceptions import StoreError
from unroll.plan.evaluate import Evaluation, evaluate_run
from unroll.registry.gate import Gate
from unroll.registry.registered_model import CHAMPION, EARLIER, RegisteredModel
from unroll.registry.versions import COMPARED, Registration, _cost, register
from unroll.tracking.comparisons import log_comparison
from unroll.tracking.models import find_model
from unroll.tracking.offline import requiring
from unroll.tracking.reproduce import reproduce
from unroll.tracking.runs import get_run, look_up, training_run
from unroll.tracking.store import open_store
from unroll.tracking.sweeps import open_parent
from unroll.tracking.upload import PREDICTIONS, upload_all

NAME = "deleted"
GATE = Gate(level=0.05, margin=0.2, cheaper_by=0.1, cost="parameters")
TEXTS = ["Not very good today."]
LOCATIONS = {  # where MLflow's tables have the locations of artifacts
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}


class Composed(Exception):
    """A reproduction has found all that it needs in the store, and begins."""


@dataclass
class Store:
    """A store in which `first` and then `second` became champion, and `third` is trained."""

    data: PreparedData
    models: Path  # models/NAME
    report: Path
    work: Path
    client: MlflowClient

    def run_id(self, model: str) -> str:
        return str(read_runs(self.models, [model])[0].run_id)

    def put(self, model: str) -> Registration:
        candidate = candidate_of(self.models, self.data, [model])
        with requiring():
            return register(candidate, candidate.runs, GATE, TEXTS)

    def aliased(self) -> int | None:
        return RegisteredModel(self.client, NAME).champion

    # commands

    def register(self) -> None:
        self.put("third")

    def register_again(self) -> None:
        assert self.put("second").champion

    def roll_back(self, version: int | None = None) -> tuple[int | None, int]:
        with requiring():
            return RegisteredModel(self.client, NAME).roll_back(version)

    def load(self) -> None:
        assert unroll.load(f"models:/{NAME}@champion").predict(TEXTS)

    def load_run(self) -> None:
        assert unroll.load(f"runs:/{self.run_id('second')}").predict(TEXTS)

    def upload(self) -> None:
        upload_all([self.models])

    def reproduce(self) -> None:
        def compose(overrides: list[str]) -> Any:
            raise Composed

        with pytest.raises(Composed):
            reproduce(self.run_id("second"), "", False, compose, lambda key, value: f"{key}={value}")

    def train(self) -> None:
        record = self.work / "checkpoints" / "run.json"
        record.unlink(missing_ok=True)
        with training_run(make_provenance(self.data, NAME), record):
            pass

    def compare(self) -> None:
        with requiring():
            log_comparison(read_runs(self.models), self.report)

    def sweep(self) -> None:
        open_parent(NAME, "sweep", {})

    # what people do in MLflow

    def delete_run(self, model: str = "second") -> None:
        self.client.delete_run(get_run(self.client, self.run_id(model)).info.run_id)

    @property
    def experiment_id(self) -> str:
        experiment = self.client.get_experiment_by_name(NAME)
        assert experiment is not None
        return str(experiment.experiment_id)

    def delete_experiment(self) -> None:
        self.client.delete_experiment(self.experiment_id)

    def delete_version(self, version: int = 2) -> None:
        self.client.delete_model_version(NAME, str(version))

    def delete_alias(self) -> None:
        self.client.delete_registered_model_alias(NAME, CHAMPION)

    def delete_logged_model(self) -> None:
        while uri := find_model(self.client, self.run_id("second")):  # of the training, and of the registration
            self.client.delete_logged_model(uri.removeprefix("models:/"))

    def delete_artifacts(self, path: str, model: str = "second") -> None:
        location = self.client.get_run(self.run_id(model)).info.artifact_uri.removeprefix("file://")
        shutil.rmtree(Path(location, path)) if Path(location, path).is_dir() else Path(location, path).unlink()

    def collect_garbage(self) -> None:
        mlflow_cli("gc", "--backend-store-uri", self.client.tracking_uri)


def mlflow_cli(*arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_tracking_uri", None)  # which `mlflow gc` sets for the whole process
        done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output


def follow(message: str) -> None:
    """Run the command of MLflow's that a message contains."""
    found = re.search(r"MLFLOW_TRACKING_URI=\S+ mlflow ([^;.]*\w)", message)
    assert found, message
    mlflow_cli(*shlex.split(found[1]))


@pytest.fixture(scope="module")
def template(reviews: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the store that each test copies, with the run folders and a report."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        (folder / "repository").mkdir()
        commit_everything(folder / "repository")
        enter(folder / "repository", patch)
        for model, wrong in {"first": 14, "second": 2, "third": 2}.items():
            write_run(folder / "models" / NAME / model / "1", reviews, 0.5, wrong)
        (folder / "report").mkdir()
        for file in FILES:
            (folder / "report" / file).touch()
        (folder / "report" / "leaderboard.csv").write_text("model,seeds,val/accuracy\nsecond,1,0.5\n")
        (folder / "report" / "pairs.csv").write_text("first,second\n")
        store = Store(reviews, folder / "models" / NAME, folder / "report", folder, open_store())
        assert [store.put(model).champion for model in ("first", "second")] == [True, True]
    yield folder


@pytest.fixture
def store(template: Path, reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    folder = tmp_path / "store"
    shutil.copytree(template, folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for table, columns in LOCATIONS.items():
            for column in columns:
                database.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(template), str(folder)))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    monkeypatch.setattr(utils, "_artifact_repos_cache", OrderedDict())  # by run, whatever the store
    enter(folder / "repository", monkeypatch)
    return Store(reviews, folder / "models" / NAME, folder / "report", folder, open_store())


Step = Callable[[Store], Any]


@dataclass
class Case:
    """What people do, what each command then says, what helps, and the commands that then work."""

    done: list[Step]
    says: dict[Step, str]  # a part of the message; empty if the command works as before
    helps: list[Step] = field(default_factory=list)  # after the commands of MLflow's in the last message
    champion: int = 2  # in the end


def move_away(store: Store) -> None:
    """Another training has used the run folder of the champion since."""
    shutil.rmtree(store.models / "second")


def to_the_first(store: Store) -> None:
    assert store.roll_back(1)[1] == 1


RUN_DELETED = "is deleted; to restore it: MLFLOW_TRACKING_URI="
RUN_GONE = "is not in the MLflow store at sqlite:"
EXPERIMENT_DELETED = f"the MLflow experiment '{NAME}' is deleted; to restore it with its runs: MLFLOW_TRACKING_URI="
GONE = [Store.delete_run, Store.collect_garbage]
CASES = {
    "the run of the champion": Case(
        [Store.delete_run],
        {
            Store.load: "",
            Store.register: f"version 2 of {NAME}, the champion, cannot be compared with the new version 3: run ",
            Store.reproduce: RUN_DELETED,
            Store.load_run: RUN_DELETED,
            Store.upload: "1 of 3 runs were not uploaded",
            Store.register_again: RUN_DELETED,
        },
    ),
    "the run of the champion, for good": Case(
        GONE,
        {Store.load: "", Store.reproduce: RUN_GONE, Store.register_again: RUN_GONE, Store.register: RUN_GONE},
        [Store.upload],
    ),
    "the run of the champion, for good, and its folder: without a comparison": Case(
        [*GONE, move_away],
        {Store.load: "", Store.register: "remove the alias champion from version 2 in MLflow, so that version 3"},
        [Store.delete_alias, Store.register],
        champion=3,
    ),
    "the run of the champion, for good, and its folder: another champion": Case(
        [*GONE, move_away],
        {Store.register: f"python pipelines/rollback.py dataset={NAME} version=N; then repeat this command"},
        [to_the_first],
        champion=3,
    ),
    "the run of the candidate, for good": Case(
        [lambda store: store.delete_run("third"), Store.collect_garbage], {Store.register: RUN_GONE}, [Store.upload]
    ),
    "the experiment": Case(
        [Store.delete_experiment],
        {
            Store.load: "",
            Store.train: EXPERIMENT_DELETED,
            Store.compare: EXPERIMENT_DELETED,
            Store.sweep: EXPERIMENT_DELETED,
            Store.upload: "3 of 3 runs were not uploaded",
            Store.reproduce: EXPERIMENT_DELETED,
            Store.register_again: EXPERIMENT_DELETED,
            Store.register: EXPERIMENT_DELETED,
        },
    ),
    "the experiment, but not its run": Case(
        [Store.delete_experiment, lambda store: store.client.restore_run(store.run_id("second"))],
        {Store.register_again: EXPERIMENT_DELETED},
    ),
    "the experiment, for good": Case(
        [Store.delete_experiment, Store.collect_garbage],
        {Store.load: "", Store.train: "", Store.sweep: "", Store.reproduce: RUN_GONE, Store.register: RUN_GONE},
        [Store.upload, Store.register_again],
    ),
    "the name of the experiment": Case(
        [lambda store: store.client.rename_experiment(store.experiment_id, "renamed")],
        {it: "" for it in (Store.load, Store.train, Store.compare, Store.upload, Store.reproduce, Store.register)},
    ),
    "the version of the champion": Case(
        [Store.delete_version],
        {Store.load: f"models:/{NAME}@champion: no version has the alias champion; registered versions: 1"},
        [Store.roll_back],
        champion=1,
    ),
    "the version of the champion before": Case(
        [lambda store: store.delete_version(1)],
        {
            Store.load: "",
            Store.roll_back: "no version was champion before version 2; choose one with version=N; accepted: 2",
        },
        [Store.register, lambda store: store.roll_back(3)],
    ),
    "the registered model": Case(
        [lambda store: store.client.delete_registered_model(NAME)],
        {
            to_the_first: "(registered models: none); first: python pipelines/register.py dataset=",
            Store.load: "no such model; registered models: none",
        },
        [Store.register],
        champion=1,
    ),
    "the name of the registered model": Case(
        [lambda store: store.client.rename_registered_model(NAME, "renamed")],
        {
            Store.roll_back: "(registered models: renamed); first: python pipelines/register.py",
            Store.load: "no such model; registered models: renamed",
        },
        [lambda store: store.client.rename_registered_model("renamed", NAME)],
        champion=1,
    ),
    "the alias": Case(
        [Store.delete_alias],
        {Store.load: f"models:/{NAME}@champion: no version has the alias champion; registered versions: 1, 2"},
        [lambda store: store.roll_back(2)],
    ),
    "the alias, and the same runs are registered again": Case(
        [Store.delete_alias], {Store.load: "no version has the alias champion"}, [Store.register_again]
    ),
    "the logged model": Case(
        [Store.delete_logged_model],
        {Store.load: "", Store.load_run: "has no model", Store.reproduce: "has no model"},
        [Store.upload],
    ),
    "the logged model, for good": Case(
        [Store.delete_logged_model, Store.collect_garbage],
        {Store.load: "its files are deleted: delete this version too, and register the model again"},
        [Store.delete_version, Store.upload, Store.register_again],
        champion=3,
    ),
    "the logged model, for good: another version": Case(
        [Store.delete_logged_model, Store.collect_garbage],
        {Store.load: "or use another version; registered versions: 1, 2 (champion)"},
        [to_the_first],
        champion=1,
    ),
    "the predictions of the champion": Case(
        [lambda store: store.delete_artifacts(PREDICTIONS)], {Store.register: "has no predictions"}, [Store.upload]
    ),
    "the provenance": Case(
        [lambda store: store.delete_artifacts("training")],
        {Store.reproduce: "If they were deleted, python pipelines/upload.py uploads them again"},
        [Store.upload],
    ),
    "the model card": Case(
        [lambda store: store.delete_artifacts("registry")], {Store.register_again: "", Store.register: ""}
    ),
    "a tag of a run": Case(
        [lambda store: store.client.delete_tag(store.run_id("third"), "dataset.checksum")],
        {Store.register: "has no tag dataset.checksum: set it again with python pipelines/upload.py"},
        [Store.upload],
    ),
    "the decision of a version": Case(
        [lambda store: store.client.delete_model_version_tag(NAME, "2", "gate.champion")],
        {Store.register_again: "", Store.register: ""},
    ),
    "the record of earlier champions": Case(
        [lambda store: store.client.set_registered_model_tag(NAME, EARLIER, "one, two")],
        {
            Store.load: "",
            Store.roll_back: f"the tag {EARLIER} of the registered model {NAME} is 'one, two'; accepted: ",
        },
        [lambda store: store.client.set_registered_model_tag(NAME, EARLIER, "1")],
        champion=1,
    ),
}


def messages(store: Store, says: dict[Step, str]) -> list[str]:
    found = []
    for command, part in says.items():
        if not part:
            command(store)
            continue
        with pytest.raises(ValueError, match=re.escape(part)) as error:
            command(store)
        found.append(str(error.value))
    return found


@pytest.mark.parametrize("deleted", CASES)
def test_each_command_says_what_is_missing_and_what_it_says_helps(store: Store, deleted: str) -> None:
    case = CASES[deleted]
    for step in case.done:
        step(store)
    said = messages(store, case.says)
    if said and not case.helps:
        follow(said[-1])
    for step in case.helps:
        step(store)
    for command in case.says:
        command(store)
    assert store.aliased() == case.champion


def test_a_champion_without_a_tag_is_not_replaced_before_it_is_set_again(store: Store) -> None:
    tags = store.client.get_model_version(NAME, "2").tags
    for tag in COMPARED:
        said = f"it has no tag {re.escape(tag)}; to set it again: the page of the version"
        store.client.set_model_version_tag(NAME, "2", tag, "")
        with pytest.raises(ValueError, match=said):
            store.register()
        store.client.delete_model_version_tag(NAME, "2", tag)
        with pytest.raises(ValueError, match=said):
            store.register()
        store.client.set_model_version_tag(NAME, "2", tag, tags[tag])
    assert store.aliased() == 2
    assert "version 2 (second)" in store.put("third").reason


def test_a_champion_after_another_whose_alias_was_removed_is_not_called_the_first(store: Store) -> None:
    store.delete_alias()
    assert store.put("third").reason == (
        "third (mean val/accuracy 0.5000) is champion, because no other version had the alias champion"
    )


def test_runs_that_were_uploaded_again_are_the_version_they_were(store: Store) -> None:
    before = store.put("second")
    for step in GONE:
        step(store)
    store.upload()
    after = store.put("second")
    assert after.facts() == before.facts()
    assert get_run(store.client, store.run_id("second")).info.run_id in after.card
    assert f"**Champion** when it was registered: {before.reason}" in after.card.replace("\\", "")
    assert after == store.put("second")  # the card is kept


def test_a_run_that_was_uploaded_again_and_then_deleted_stays_deleted(store: Store) -> None:
    for step in (*GONE, Store.upload, Store.delete_run):
        step(store)
    with pytest.raises(ValueError, match="1 of 3 runs were not uploaded"):
        store.upload()
    run = look_up(store.client, store.run_id("second"))
    assert run is not None and run.info.lifecycle_stage == "deleted"
    assert len(store.client.search_runs([store.experiment_id], run_view_type=ViewType.ALL)) == 3


def test_an_evaluation_warns_of_a_deleted_run_with_the_command_that_restores_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    paths = {"run": str(store.models / "second" / "1"), "data": str(store.data.folder)}
    config = {**paths, "batch_size": 8, "threads": 1, "device": "cpu"}
    store.delete_run()
    assert evaluate_run(Evaluation(config))
    (warning,) = (record.getMessage() for record in caplog.records if record.name == "unroll")
    assert RUN_DELETED in warning
    follow(warning)
    store.upload()
    assert get_run(store.client, store.run_id("second")).info.status == "FINISHED"


def test_a_sweep_whose_run_was_deleted_for_good_has_a_new_one(store: Store) -> None:
    parent = open_parent(NAME, "sweep", {})
    store.client.delete_run(parent)
    store.collect_garbage()
    assert open_parent(NAME, "sweep", {}, parent) != parent


def test_a_comparison_of_a_deleted_run_says_so(store: Store) -> None:
    store.delete_run()
    run = store.client.get_run(log_comparison(read_runs(store.models), store.report))
    assert f"- second, seed 1: run {store.run_id('second')}, which is deleted" in run.data.tags["mlflow.note.content"]


def test_a_version_whose_files_are_deleted_is_not_made_champion(store: Store) -> None:
    store.delete_logged_model()
    store.collect_garbage()
    to_the_first(store)
    with pytest.raises(ValueError, match=r"its files are deleted.*the champion is not changed; .*: version=N"):
        store.roll_back(2)
    assert store.aliased() == 1


def test_a_version_whose_run_was_deleted_for_good_is_served(store: Store) -> None:
    for step in GONE:
        step(store)
    server = TestClient(scoring_server.init(mlflow.pyfunc.load_model(f"models:/{NAME}@champion")))
    answer = server.post("/invocations", json={"dataframe_split": {"columns": ["text"], "data": [TEXTS]}})
    assert answer.json()["predictions"] == unroll.load(f"{NAME}@champion").predict(TEXTS)


def test_without_a_champion_the_one_before_is_restored_or_the_version_that_is_named(store: Store) -> None:
    store.delete_alias()
    assert store.roll_back() == (None, 1)
    store.delete_alias()
    assert store.roll_back(2) == (None, 2)


def test_without_a_champion_and_one_before_a_version_has_to_be_named(store: Store) -> None:
    store.client.delete_registered_model_tag(NAME, EARLIER)
    store.delete_alias()
    with pytest.raises(
        ValueError, match=r"no version was champion earlier, and none is now; .*version=N; accepted: 1, 2"
    ):
        store.roll_back()


def test_a_champion_without_the_cost_that_the_gate_compares_is_named() -> None:
    with pytest.raises(StoreError, match=r"^run 0{32} has no metric parameters: evaluate it, or upload it with python"):
        _cost(SimpleNamespace(info=SimpleNamespace(run_id="0" * 32), data=SimpleNamespace(metrics={})), GATE)
