from pathlib import Path

from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.training.cost import microseconds_per_token


def test_a_token_takes_some_microseconds(reviews: PreparedData, tmp_path: Path) -> None:
    one = save_random_model(reviews, tmp_path / "gru")
    assert 0 < microseconds_per_token(one, reviews, batch_size=8) < 1e6
