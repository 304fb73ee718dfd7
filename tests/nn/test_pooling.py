"""Poolings, compared with NumPy on the tokens without padding."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unroll.nn.pooling import POOLINGS, AttentionPooling, Pooling, SequencePooling, build_pooling

SIZE = 4
GARBAGE = [0.0, 1e30, float("nan"), float("inf"), float("-inf")]
batches = st.lists(st.integers(1, 8), min_size=1, max_size=5)  # lengths of the sequences


def make_batch(lengths: list[int], padding: int = 0, garbage: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    outputs = torch.randn(len(lengths), max(lengths) + padding, SIZE)
    for row, length in zip(outputs, lengths, strict=True):
        row[length:] = garbage
    return outputs, torch.randn(len(lengths), SIZE), torch.tensor(lengths)


def attend(pooling: AttentionPooling, tokens: np.ndarray) -> np.ndarray:
    W, b = pooling.projection.weight.detach().numpy(), pooling.projection.bias.detach().numpy()
    v = pooling.query.weight.detach().numpy()[0]
    weights = np.exp([v @ np.tanh(W @ token + b) for token in tokens])
    return (weights[:, None] * tokens).sum(axis=0) / weights.sum()


def expect(pooling: SequencePooling, name: Pooling, tokens: np.ndarray, final: np.ndarray) -> np.ndarray:
    """tokens: (length, O), final: (O,) → expected vector of one sequence."""
    if isinstance(pooling, AttentionPooling):
        return attend(pooling, tokens)
    mean, largest = tokens.mean(axis=0), tokens.max(axis=0)
    return {"last": final, "mean": mean, "max": largest, "concat": np.concatenate([final, mean, largest])}[name]


@pytest.mark.parametrize("name", POOLINGS)
@settings(max_examples=30, deadline=None)
@given(lengths=batches, padding=st.integers(0, 3), garbage=st.sampled_from(GARBAGE), seed=st.integers(0, 99))
def test_pooling_ignores_padding(name: Pooling, lengths: list[int], padding: int, garbage: float, seed: int) -> None:
    torch.manual_seed(seed)
    outputs, final, lengths_ = make_batch(lengths, padding, garbage)
    pooling = build_pooling(name, SIZE)

    found = pooling(outputs, final, lengths_)

    assert found.shape == (len(lengths), pooling.output_size)
    for i, length in enumerate(lengths):
        expected = expect(pooling, name, outputs[i, :length].numpy(), final[i].numpy())
        np.testing.assert_allclose(found[i].detach(), expected, atol=1e-5)


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("name", POOLINGS)
def test_padding_gets_no_gradient_and_has_no_effect_on_others(name: Pooling, garbage: float) -> None:
    torch.manual_seed(0)
    pooling = build_pooling(name, SIZE)
    outputs, final, lengths = make_batch([5, 2, 1], padding=1, garbage=garbage)
    pooling(outputs.requires_grad_(), final.requires_grad_(), lengths).square().sum().backward()
    for tensor in (final, *pooling.parameters(), outputs):
        assert tensor.grad is None or tensor.grad.isfinite().all()
    if outputs.grad is not None:  # the pooling `last` does not use them
        for grad, length in zip(outputs.grad, [5, 2, 1], strict=True):
            assert grad[:length].any()
            assert not grad[length:].any()


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_equal_finite_differences(name: Pooling) -> None:
    torch.manual_seed(0)
    pooling = build_pooling(name, SIZE).double()
    outputs, final, lengths = make_batch([5, 2, 1])
    inputs = (outputs.double().requires_grad_(), final.double().requires_grad_())
    assert torch.autograd.gradcheck(lambda outputs, final: pooling(outputs, final, lengths), inputs)


@pytest.mark.parametrize("name", POOLINGS)
def test_autocast_to_bfloat16_stays_near_single_precision(name: Pooling) -> None:
    torch.manual_seed(0)
    pooling = build_pooling(name, SIZE)
    outputs, final, lengths = make_batch([8, 3, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pooling(outputs.bfloat16(), final.bfloat16(), lengths)
    torch.testing.assert_close(found.float(), pooling(outputs, final, lengths), atol=0.05, rtol=0.02)


def test_every_name_has_a_pooling() -> None:
    assert set(POOLINGS) == set(get_args(Pooling))


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="pooling='first'; accepted: last, mean, max, attention, concat"):
        build_pooling("first", SIZE)
