"""A page with small networks of several tasks."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.inference.play.running import Running, network, serving
from tests.tiny import random_model, save_random_model
from unroll.data.prepared import PreparedData


@pytest.fixture(scope="session")
def page_server(
    reviews: PreparedData, entities: PreparedData, topics: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Serves `elman`, `lstm` for reviews, `tagger` for entities with a CRF; `topics` and `pairs` have no data."""
    folder = tmp_path_factory.mktemp("networks")
    models = {"elman": (reviews, "elman"), "lstm": (reviews, "lstm"), "tagger": (entities, "bilstm_char_crf")}
    networks = [
        network(save_random_model(data, folder / name, model), data.folder) for name, (data, model) in models.items()
    ]
    networks.append(network(save_random_model(topics, folder / "topics", "gru")))
    pairs = random_model(reviews, "bilstm")
    replace(pairs, schema=replace(pairs.schema, is_pair=True)).save(folder / "pairs")
    networks.append(network(folder / "pairs"))
    with serving(networks, beside=True) as server:
        yield server
