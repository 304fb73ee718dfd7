"""Decoders compared with the heads of `unroll.nn`."""

import numpy as np
import pytest
import torch

from unroll.inference.decoders import build_decoder
from unroll.nn.heads import ClassificationHead, MultilabelHead, SoftmaxHead

SCORES = torch.tensor([[0.5, -1.0, 40.0], [-800.0, 0.0, 800.0], [2.0, 2.0, -3.0]])


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("softmax", ClassificationHead(4, 3)),
        ("softmax", SoftmaxHead(4, ["a", "b", "c"])),
        ("sigmoid", MultilabelHead(4, 3)),
    ],
)
def test_labels_and_probabilities_are_those_of_the_head(kind: str, head: ClassificationHead | SoftmaxHead) -> None:
    scores = SCORES[:, None] if isinstance(head, SoftmaxHead) else SCORES
    lengths = torch.ones(3, dtype=torch.long)
    decoder = build_decoder({"kind": kind})
    np.testing.assert_array_equal(decoder.labels(scores.numpy(), lengths.numpy()), head.decode(scores, lengths))
    found = decoder.posterior(scores.numpy(), lengths.numpy()).probabilities
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, head.probabilities(scores.double(), lengths), rtol=1e-12, atol=1e-300)


def test_an_unknown_decoder_is_refused() -> None:
    with pytest.raises(ValueError, match="decoder 'beam'; accepted: softmax, sigmoid, crf"):
        build_decoder({"kind": "beam"})
