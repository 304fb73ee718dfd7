import pytest

from tests.tiny import prepare_tiny
from unroll.data.prepared import PreparedData


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare_tiny("classification", tmp_path_factory.mktemp("reviews"))


@pytest.fixture(scope="session")
def entities(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare_tiny("labeling", tmp_path_factory.mktemp("entities"))
