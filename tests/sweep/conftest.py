from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna import Study, create_study

from tests.sweep.commands import Commands
from unroll.sweep.studies import open_storage


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    """A new project with a command whose sweeps are fast."""
    made = Commands(tmp_path)
    yield made
    made.close()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """An empty study in a database that records heartbeats."""
    return create_study(storage=open_storage(f"sqlite:///{tmp_path}/studies.db"))
