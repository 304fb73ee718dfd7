"""The CRF in NumPy compared with that of `unroll.nn`."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll.inference.crf import CRF, softmax
from unroll.nn.crf import LinearChainCRF, iob2_constraints

NAMES = ["I-A", "O", "B-A", "B-B", "I-B"]


def make_pair(labels: int, constrained_loss: bool, is_iob2: bool, scale: float) -> tuple[LinearChainCRF, CRF]:
    """The same random scores in PyTorch and in NumPy."""
    constraints = iob2_constraints(NAMES[:labels]) if is_iob2 else None
    theirs = LinearChainCRF(labels, constraints, constrained_loss)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=scale)
    names = ("start", "end", "transitions", "forbidden_starts", "forbidden_transitions")
    weights: dict[str, Any] = {name: getattr(theirs, name).tolist() for name in names}
    return theirs, CRF(**weights, constrained_loss=constrained_loss)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    labels=st.integers(2, 5),
    constrained_loss=st.booleans(),
    is_iob2=st.booleans(),
    scale=st.sampled_from([0.1, 3.0, 60.0]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60)
def test_paths_and_marginals_are_those_of_the_network(
    lengths: list[int], labels: int, constrained_loss: bool, is_iob2: bool, scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    theirs, ours = make_pair(labels, constrained_loss, is_iob2, scale)
    logits, counts = scale * torch.randn(len(lengths), max(lengths), labels), torch.tensor(lengths)
    paths = ours.decode(logits.numpy(), counts.numpy())
    marginals = ours.posterior(logits.numpy(), counts.numpy()).probabilities
    expected_paths = theirs.decode(logits, counts)
    expected = theirs.marginals(logits.double(), counts)
    assert marginals.dtype == np.float64
    for i, length in enumerate(lengths):
        np.testing.assert_array_equal(paths[i, :length], expected_paths[i, :length])
        np.testing.assert_allclose(marginals[i, :length], expected[i, :length], rtol=0, atol=1e-9)


@given(length=st.integers(1, 12), labels=st.integers(2, 5), padding=st.integers(0, 2), seed=st.integers(0, 1000))
@settings(max_examples=60)
def test_a_sequence_alone_has_the_path_that_it_has_in_a_batch(
    length: int, labels: int, padding: int, seed: int
) -> None:
    torch.manual_seed(seed)
    _, crf = make_pair(labels, False, True, 1.0)
    logits = torch.randn(1, length + padding, labels).round(decimals=1).numpy()  # with ties
    lengths = np.array([length])
    batch = crf.decode(np.concatenate([logits, logits]), np.array([length, length + padding]))
    alone = crf.decode(logits, lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unroll.inference.crf.MOST_POINTERS", 0)
        too_long = crf.decode(logits, lengths)
    assert alone.shape == (1, length + padding)
    np.testing.assert_array_equal(alone[0, :length], batch[0, :length])
    np.testing.assert_array_equal(too_long[0, :length], batch[0, :length])


def test_scores_that_no_path_has_are_an_error() -> None:
    _, crf = make_pair(3, False, True, 1.0)
    logits = np.zeros((2, 4, 3), np.float32)
    logits[1, 2] = np.nan
    with pytest.raises(ValueError, match="the best path has no finite score"):
        crf.decode(logits, np.array([4, 3]))
    crf.decode(logits, np.array([4, 2]))  # NaN at padding


def test_long_sequences_neither_overflow_nor_lose_precision() -> None:
    torch.manual_seed(3)
    theirs, ours = make_pair(5, True, True, 30.0)
    logits, lengths = 30 * torch.randn(1, 2000, 5), torch.tensor([2000])
    found = ours.posterior(logits.numpy(), lengths.numpy()).probabilities
    np.testing.assert_allclose(found, theirs.marginals(logits.double(), lengths), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=2), 1)


def test_softmax_of_large_scores_is_finite() -> None:
    np.testing.assert_allclose(softmax(np.array([[1e4, 1e4], [-1e4, 0]])), [[0.5, 0.5], [0, 1]])
