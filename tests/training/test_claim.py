import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from unroll.training.claim import claimed, is_claimed


def train_forever(output: Path) -> None:
    with claimed(output):
        (output / "started").touch()
        time.sleep(600)


def test_a_folder_is_of_one_process_until_that_dies(tmp_path: Path) -> None:
    assert not is_claimed(tmp_path)
    assert list(tmp_path.iterdir()) == []  # asking leaves nothing
    process = get_context("spawn").Process(target=train_forever, args=(tmp_path,))
    process.start()
    try:
        while not (tmp_path / "started").exists():
            time.sleep(0.05)
        assert is_claimed(tmp_path)
        told = pytest.raises(ValueError, match=f"output={tmp_path} is being trained by another process")
        with told, claimed(tmp_path):
            pass
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    assert not is_claimed(tmp_path)
    with claimed(tmp_path):
        assert is_claimed(tmp_path)
