from functools import partial
from pathlib import Path

import pytest

from unroll.sweep import lock
from unroll.sweep.lock import study_lock
from unroll.tracking.lock import database_lock


def test_who_waits_in_vain_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "database_lock", partial(database_lock, patience=0.1))
    storage = f"sqlite:///{tmp_path}/studies.db"
    said = pytest.raises(ValueError, match=r"studies\.db' cannot be used: another process has held")
    with study_lock(storage), said, study_lock(storage):
        pass


@pytest.mark.parametrize("storage", ["mysql://me@here/studies", "studies.db", "redis://here"])
def test_a_storage_of_another_kind_is_refused(storage: str) -> None:
    with pytest.raises(ValueError) as error, study_lock(storage):
        pass
    assert storage in str(error.value)
    assert "sqlite:///FILE or postgresql+psycopg2://" in str(error.value)


def test_a_server_that_is_not_there_is_named() -> None:
    storage = "postgresql+psycopg2://me@127.0.0.1:9/x"
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9/x' cannot be used.*refused"), study_lock(storage):
        pass


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"there is no folder .*nowhere"),
        study_lock(f"sqlite:///{tmp_path}/nowhere/x"),
    ):
        pass


def test_a_password_is_not_printed() -> None:
    storage = "postgresql+psycopg2://me:secret@127.0.0.1:9/x"
    with pytest.raises(ValueError, match="cannot be used") as error, study_lock(storage):
        pass
    assert "secret" not in str(error.value)
