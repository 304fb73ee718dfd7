import threading
import time
from pathlib import Path

import pytest

from unroll.sweep.lock import study_lock


def test_one_at_a_time(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/studies.db"
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with study_lock(storage):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)  # so that another one gets in, if there is a way
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


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
