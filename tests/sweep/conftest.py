from pathlib import Path

import pytest

from tests.sweep.commands import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """A project of the test's own, with a command that sweeps in no time."""
    return Commands(tmp_path)
