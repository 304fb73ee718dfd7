import os
import socket
import sqlite3
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.forks import forking
from tests.postgresql import POSTGRES, postgres
from unroll.exceptions import StoreUnavailable
from unroll.project import set_environment
from unroll.tracking.offline import RECOVERY
from unroll.tracking.store import open_experiment, open_store


def begin_a_run(uri: str) -> tuple[int, str]:
    """Create a run; return the id of the process and of the experiment."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    client = open_store()
    experiment = open_experiment(client, "reviews")
    client.log_metric(client.create_run(experiment).info.run_id, "loss", 0.5)
    return os.getpid(), experiment


def begin_runs_at_once(uri: str, count: int) -> None:
    """Create runs in several processes, which find no database, or an empty one."""
    context = forking("mlflow.store.tracking.sqlalchemy_store", "unroll.tracking.store")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        answers = list(pool.map(begin_a_run, [uri] * count))
    assert len({process for process, _ in answers}) == count
    assert len({experiment for _, experiment in answers}) == 1
    client = MlflowClient(uri)
    experiments = client.search_experiments(filter_string="name = 'reviews'")
    assert len(experiments) == 1
    assert len(client.search_runs([experiments[0].experiment_id])) == count


def test_eight_processes_may_meet_a_database_that_is_not_there_yet(tmp_path: Path) -> None:
    begin_runs_at_once(f"sqlite:///{tmp_path}/deep/mlflow.db", 8)
    with sqlite3.connect(tmp_path / "deep" / "mlflow.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.skipif(not POSTGRES, reason="no PostgreSQL in /usr/lib/postgresql")
def test_four_processes_may_meet_a_postgresql_without_tables() -> None:
    with postgres() as database:
        begin_runs_at_once(database, 4)


@pytest.mark.parametrize("rest", ["my%20runs/mlflow.db", "my runs/mlflow.db?timeout=30"])
def test_an_address_is_read_as_mlflow_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/{rest}")
    client = open_store()
    experiment = client.get_experiment(open_experiment(client, "placed"))
    folder = tmp_path / "my runs"
    assert {"mlflow.db", "mlflow.db.lock"} <= {file.name for file in folder.iterdir()}
    assert experiment.artifact_location == (folder / "mlartifacts" / "placed").as_uri()
    with sqlite3.connect(folder / "mlflow.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_experiment_is_created_once_and_found_again() -> None:
    client = open_store()
    first = open_experiment(client, "found-again")
    assert open_experiment(client, "found-again") == first
    assert open_experiment(client, "another") != first


def test_artifacts_lie_beside_the_database_wherever_the_process_runs(
    store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = open_store()
    experiment = client.get_experiment(open_experiment(client, "placed"))
    assert experiment.artifact_location == (store_folder / "mlartifacts" / "placed").as_uri()


def test_a_deleted_experiment_is_an_error() -> None:
    client = open_store()
    client.delete_experiment(open_experiment(client, "deleted"))
    with pytest.raises(ValueError, match="experiment 'deleted' is deleted"):
        open_experiment(client, "deleted")


def refused(monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    start = time.monotonic()
    with pytest.raises(ValueError) as error:
        open_store()
    assert time.monotonic() - start < 120  # at most 14 seconds of waiting; MLflow by itself waits for four minutes
    return str(error.value)


@pytest.mark.parametrize(("hangs", "why"), [(False, "Connection refused"), (True, "Read timed out")])
def test_a_server_that_does_not_respond_is_an_error_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool, why: str
) -> None:
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    set_environment(tmp_path)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if hangs:
            server.listen()  # accepts connections, and sends nothing
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        said = refused(monkeypatch, uri)
    assert f"MLFLOW_TRACKING_URI={uri!r} cannot be used: " in said
    assert why in said and "HTTPConnection" not in said


@pytest.mark.parametrize("hangs", [False, True])
def test_a_postgresql_that_does_not_respond_is_an_error_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if hangs:
            server.listen()
        uri = f"postgresql+psycopg2://me@127.0.0.1:{server.getsockname()[1]}/runs"
        assert f"MLFLOW_TRACKING_URI={uri!r} cannot be used: " in refused(monkeypatch, uri)


def test_a_database_that_another_program_holds_is_named_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert f"MLFLOW_TRACKING_URI={uri!r} cannot be used: database is locked" in refused(monkeypatch, uri)


def test_a_file_that_is_no_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("no database\n" * 100)
    uri = f"sqlite:///{tmp_path}/notes.txt"
    assert f"MLFLOW_TRACKING_URI={uri!r} cannot be used" in refused(monkeypatch, uri)


def test_a_creation_that_is_interrupted_leaves_no_half_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow would refuse it for ever: "duplicate column name"."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / ".mlflow.db.new").write_bytes(b"left by a killed process")
    (tmp_path / "mlflow.db").touch()  # as `sqlite3.connect` leaves it

    def fail(*arguments: object, **options: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("unroll.tracking.store.MlflowClient.search_experiments", fail)
        with pytest.raises(StoreUnavailable, match="database or disk is full"):
            open_store()
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("select * from sqlite_master").fetchall() == []
    assert open_store().search_experiments()
    assert not list(tmp_path.glob(".mlflow.db.new*"))


@pytest.mark.parametrize("damage", ["header", "pages"])
def test_a_damaged_database_is_named_with_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    database = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table experiments (a)")
        connection.commit()
    content = database.read_bytes()
    database.write_bytes(b"x" * 100 + content[100:] if damage == "header" else content[:100] + b"x" * 4000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    with pytest.raises(StoreUnavailable, match=r"move it away, run python pipelines/upload\.py, and see docs/tracking"):
        open_store()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE sqlite_master SET name = CAST(name AS BLOB) WHERE name = 'metrics'",  # TypeError
        "UPDATE sqlite_master SET name = CAST('x' AS BLOB) WHERE name LIKE 'index_%'",  # DatabaseError
    ],
)
def test_what_mlflow_makes_of_a_changed_bit_is_one_line(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can make any value one of another type, whatever MLflow's code then does with it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/sound.db")
    open_store()
    with closing(sqlite3.connect(tmp_path / "sound.db")) as connection:
        connection.execute("VACUUM INTO ?", (f"{tmp_path}/mlflow.db",))  # which MLflow has not opened before
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(damage)
        connection.commit()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(StoreUnavailable) as refused:
        open_store()
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(RECOVERY)


def test_a_folder_in_place_of_the_database_is_named_with_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    uri = f"sqlite:///{tmp_path}/folder"
    assert refused(monkeypatch, uri) == f"MLFLOW_TRACKING_URI={uri!r} cannot be used: a folder, not a file: {RECOVERY}"


def test_a_kind_of_store_that_mlflow_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "MLFLOW_TRACKING_URI='nonsense://x': " in refused(monkeypatch, "nonsense://x")


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_variable_is_an_error_with_an_example(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", value)
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_URI is not set; for example sqlite:////"):
        open_store()
