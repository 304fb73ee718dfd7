"""A page with small networks of several tasks."""

from collections.abc import Iterator

import pytest

from tests.inference.play.running import Running, network, serving
from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData


@pytest.fixture(scope="session")
def page_server(
    reviews: PreparedData, entities: PreparedData, topics: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Serves `elman` and `lstm` for reviews, `tagger` for entities with a CRF, and `topics`, which has no data."""
    folder = tmp_path_factory.mktemp("networks")
    models = {"elman": (reviews, "elman"), "lstm": (reviews, "lstm"), "tagger": (entities, "bilstm_char_crf")}
    networks = [
        network(save_random_model(data, folder / name, model), data.folder) for name, (data, model) in models.items()
    ]
    networks.append(network(save_random_model(topics, folder / "topics", "gru")))
    with serving(networks, beside=True) as server:
        yield server
