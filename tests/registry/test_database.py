import shutil
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.tiny import save_random_model
from tests.tracking.trained import make_provenance
from unroll.data.prepared import PreparedData
from unroll.exceptions import StoreError
from unroll.files import checksums
from unroll.inference.server.source import RegisteredName
from unroll.registry.database import RegistryDatabase
from unroll.registry.registered_model import RegisteredModel
from unroll.tracking.models import download_model, log_model
from unroll.tracking.runs import training_run
from unroll.tracking.store import open_store


@pytest.fixture(scope="module")
def client(store_folder: Path) -> MlflowClient:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_folder}/mlflow.db")
        return open_store()


@pytest.fixture
def database() -> RegistryDatabase:
    found = RegistryDatabase.of_environment()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def logged(client: MlflowClient, reviews: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a logged model."""
    work = tmp_path_factory.mktemp("logged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
        with training_run(make_provenance(reviews, "read"), work / "run.json") as run:
            return log_model(run, save_random_model(reviews, work / "model"))


def version(database: RegistryDatabase, uri: str) -> str | None:
    return database.version(RegisteredName.parse(uri))


def test_aliases_versions_and_folders_are_those_of_mlflow(
    client: MlflowClient, database: RegistryDatabase, logged: str, tmp_path: Path
) -> None:
    model = RegisteredModel(client, "read")
    client.create_registered_model("read")
    for _ in range(2):
        client.create_model_version("read", logged)
    model.make_champion(1)
    assert version(database, "models:/read@champion") == "1" == version(database, "models:/read/1")
    model.make_champion(2)
    assert version(database, "models:/read@champion") == "2"
    folder = database.folder("read", "2")
    assert folder is not None
    assert checksums(folder) == checksums(download_model(client, "models:/read/2", tmp_path))


def test_what_does_not_exist_is_an_error_that_names_what_does(
    client: MlflowClient, database: RegistryDatabase, logged: str
) -> None:
    client.create_registered_model("some")
    for _ in range(3):
        client.create_model_version("some", logged)
    client.delete_model_version("some", "2")
    client.set_registered_model_alias("some", "champion", "3")
    client.set_registered_model_alias("some", "before", "3")
    shown = r"registered versions: 1, 3 \(before, champion\)$"
    with pytest.raises(StoreError, match=r"^models:/nobody/1: no such model; registered models: .*\bsome\b"):
        version(database, "models:/nobody/1")
    for chosen in ("2", "4"):
        with pytest.raises(StoreError, match=f"^models:/some/{chosen}: no such version; {shown}"):
            version(database, f"models:/some/{chosen}")
    with pytest.raises(StoreError, match=f"^models:/some@no: no version has the alias no; {shown}"):
        version(database, "models:/some@no")


def test_a_damaged_model_or_one_that_is_elsewhere_is_left_to_mlflow(
    client: MlflowClient, database: RegistryDatabase, reviews: PreparedData, tmp_path: Path
) -> None:
    client.create_registered_model("elsewhere")
    client.create_model_version("elsewhere", "s3://somewhere/else")
    assert database.folder("elsewhere", "1") is None
    with training_run(make_provenance(reviews, "damaged"), tmp_path / "run.json") as run:
        client.create_model_version("elsewhere", log_model(run, save_random_model(reviews, tmp_path / "model")))
    folder = database.folder("elsewhere", "2")
    assert folder is not None
    (folder / "config.json").write_text("{}")
    assert database.folder("elsewhere", "2") is None
    shutil.rmtree(folder)
    assert database.folder("elsewhere", "2") is None


def test_the_artifacts_of_a_project_that_was_copied_are_those_beside_its_database(
    client: MlflowClient, store_folder: Path, logged: str, tmp_path: Path
) -> None:
    client.create_registered_model("copied")
    client.create_model_version("copied", logged)
    shutil.copytree(store_folder, tmp_path / "copy")
    folder = RegistryDatabase(tmp_path / "copy" / "mlflow.db").folder("copied", "1")
    assert folder is not None and folder.is_relative_to(tmp_path / "copy")


def test_a_version_that_is_registered_meanwhile_is_found_with_its_alias(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    others.executescript("""
        PRAGMA journal_mode = WAL;
        CREATE TABLE registered_models (workspace, name);
        CREATE TABLE model_versions (workspace, name, version, current_stage);
        CREATE TABLE registered_model_aliases (workspace, name, alias, version);
        INSERT INTO registered_models VALUES ('default', 'read');
        INSERT INTO model_versions VALUES ('default', 'read', 1, 'None');
        INSERT INTO registered_model_aliases VALUES ('default', 'read', 'champion', 1);
    """)
    read = sqlite3.connect(tmp_path / "mlflow.db")

    class Interrupted:
        def execute(self, query: str, *given: object) -> sqlite3.Cursor:
            if "registered_model_aliases" in query:
                others.execute("INSERT INTO model_versions VALUES ('default', 'read', 2, 'None')")
                others.execute("UPDATE registered_model_aliases SET version = 2")
            return read.execute(query, *given)

    database = RegistryDatabase(tmp_path / "mlflow.db")
    monkeypatch.setattr(RegistryDatabase, "_open", lambda _: nullcontext(Interrupted()))
    assert version(database, "models:/read@champion") == "1"
    monkeypatch.undo()
    assert version(database, "models:/read@champion") == "2"
    for connection in (read, others):
        connection.close()


def test_a_name_that_a_changed_bit_has_made_bytes_is_listed(
    client: MlflowClient, database: RegistryDatabase, tmp_path: Path
) -> None:
    client.create_registered_model("changed")
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "mlflow.db"),))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("UPDATE registered_models SET name = CAST(name AS BLOB) WHERE name = 'changed'")
        connection.commit()
    with pytest.raises(StoreError, match=r"no such model; registered models: .*changed"):
        version(RegistryDatabase(tmp_path / "mlflow.db"), "models:/other/1")


@pytest.mark.parametrize("content", ["text", "nothing", "other tables"])
def test_a_file_that_is_no_store_is_left_to_mlflow(content: str, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    if content == "other tables":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE registered_models (name)")
    else:
        path.write_text("not a database" * 100 if content == "text" else "")
    database = RegistryDatabase(path)
    assert version(database, "models:/any/1") is None
    assert database.folder("any", "1") is None


@pytest.mark.parametrize("uri", ["", "http://127.0.0.1:5000", "postgresql://host/mlflow", "sqlite:////no/such/file.db"])
def test_another_store_is_left_to_mlflow(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert RegistryDatabase.of_environment() is None
