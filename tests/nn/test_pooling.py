import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll.nn.pooling import check_pooling, pool


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 8), min_size=1, max_size=5), padding=st.integers(0, 3), seed=st.integers(0, 99))
def test_pooling_goes_over_the_real_tokens(lengths: list[int], padding: int, seed: int) -> None:
    torch.manual_seed(seed)
    outputs = torch.randn(len(lengths), max(lengths) + padding, 4)
    final = torch.randn(len(lengths), 4)
    real = [row[:length].numpy() for row, length in zip(outputs, lengths, strict=True)]
    expected = {
        "last": final.numpy(),
        "mean": np.stack([tokens.mean(axis=0) for tokens in real]),
        "max": np.stack([tokens.max(axis=0) for tokens in real]),
    }
    for pooling, vectors in expected.items():
        found = pool(outputs, final, torch.tensor(lengths), pooling)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, vectors, atol=1e-6, err_msg=pooling)


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="pooling='first'; accepted: last, mean, max"):
        check_pooling("first")
