"""Every shipped network under bfloat16 autocast, which is what `trainer.precision=bf16-mixed` does."""

import pytest
import torch
from torch import Tensor

from tests.tiny import NETWORKS, tiny_parts
from unroll.data.batches import Batch, SequentialBatches
from unroll.data.prepared import PreparedData
from unroll.inference.trained_model import build_model
from unroll.nn import SequenceModel

BFLOAT16 = 2**-8  # the relative spacing of its numbers


def loss_and_gradient(model: SequenceModel, batch: Batch) -> tuple[Tensor, Tensor]:
    loss = model.head.loss(model(batch.tokens), batch.labels, batch.tokens.lengths)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return loss, torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("task", ["reviews", "entities", "topics"])
def test_mixed_precision_gives_the_loss_and_gradient_of_float32_up_to_rounding(
    task: str, model: str, request: pytest.FixtureRequest
) -> None:
    data: PreparedData = request.getfixturevalue(task)
    torch.manual_seed(0)
    network = build_model(tiny_parts(model)["model"], data.schema).eval()
    batch = next(iter(SequentialBatches(data.split("train"), 16, characters=network.reads_characters)))

    loss, gradient = loss_and_gradient(network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed_loss, mixed_gradient = loss_and_gradient(network, batch)

    assert mixed_loss.dtype == torch.float32
    torch.testing.assert_close(mixed_loss, loss, rtol=4 * BFLOAT16, atol=0)
    assert torch.cosine_similarity(mixed_gradient, gradient, dim=0) > 0.99
